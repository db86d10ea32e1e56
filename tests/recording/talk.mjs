// What the openai package for Node makes of plain and streamed answers, calls, errors and a stream that breaks off, as JSON.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { default: OpenAI } = await import(
  pathToFileURL(createRequire(`${process.env.PACKAGES}/`).resolve('openai'))
);
const client = new OpenAI({ apiKey: 'ya29.a0-secret-of-the-run', baseURL: process.env.BASE_URL, maxRetries: 1 });
const model = 'google/gemini-3.5-flash';
const ask = (content, more) =>
  client.chat.completions.create({ model, messages: [{ role: 'user', content }], ...more });
const said = [];

said.push((await ask('number 7')).choices[0].message);
said.push((await ask('retry, please')).choices[0].message.content);
for (const text of ['slowly, please', 'cut this', 'story']) {
  const pieces = [];
  try {
    for await (const chunk of await ask(text, { stream: true })) pieces.push(chunk);
  } catch (error) {
    pieces.push(error.constructor.name);
  }
  said.push(pieces);
}
said.push(await ask('number 1', { n: 99 }).catch((error) => [error.status, error.message]));
for await (const chunk of await ask('slowly, and no further', { stream: true })) {
  said.push(chunk.id);
  break;
}
console.log(JSON.stringify(said));
