// Node clients as written for the real service, with the program's own token: plain, streamed, and by Node's own HTTPS.
import { createRequire } from 'node:module';
import https from 'node:https';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.PACKAGES);
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')));

const host = 'us-central1-aiplatform.googleapis.com';
const path = `/v1/projects/${process.env.PROJECT}/locations/us-central1/endpoints/openapi`;
const client = new OpenAI({ apiKey: process.env.TOKEN, baseURL: `https://${host}${path}`, maxRetries: 0 });
const ask = (content) => ({ model: 'google/gemini-3.5-flash', messages: [{ role: 'user', content }] });

const plain = (await client.chat.completions.create(ask('number 7'))).choices[0].message.content;
let streamed = '';
for await (const chunk of await client.chat.completions.create({ ...ask('slowly please'), stream: true })) {
  streamed += chunk.choices[0].delta.content ?? '';
}
const own = await new Promise((resolve, reject) => {
  const headers = { authorization: `Bearer ${process.env.TOKEN}`, 'content-type': 'application/json' };
  const request = https.request({ host, path: `${path}/chat/completions`, method: 'POST', headers }, (response) => {
    let text = '';
    response.on('data', (data) => (text += data));
    response.on('end', () => resolve(JSON.parse(text).choices[0].message.content));
  });
  request.on('error', reject);
  request.end(JSON.stringify(ask('number 8')));
});
console.log(JSON.stringify({ plain, streamed, own }));
