// What Node's clients make of faults, all at once: `node faults.mjs` reads {name: {base, limit}} and prints what each met:
// {name: {stream, plain, fetch}}, each with the text (fetch: the bytes as base64), the chunks with empty choices and without any, and the error.
// `limit` is in milliseconds: the client's timeout where it has one; twice that is how long anybody is waited for.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { default: OpenAI } = createRequire(process.env.OPENAI_PACKAGE)("openai");
const request = { model: "google/gemini-2.5-flash", messages: [{ role: "user", content: "hi" }] };

function count({ choices }, met) {
  if (!choices) met.missing += 1;
  else if (choices.length === 0) met.empty += 1;
}

const tasks = {
  async stream(client, met) {
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
      count(chunk, met);
      met.text += chunk.choices?.[0]?.delta?.content ?? "";
    }
  },

  async plain(client, met) {
    const answer = await client.chat.completions.create(request);
    count(answer, met);
    met.text += answer.choices?.[0]?.message?.content ?? "";
  },

  async fetch(client, met) {
    const body = JSON.stringify({ ...request, stream: true });
    const answer = await fetch(`${client.baseURL}/chat/completions`, { method: "POST", body });
    const pieces = [];
    for await (const piece of answer.body) {
      pieces.push(piece);
      met.text = Buffer.concat(pieces).toString("base64");
    }
  },
};

function nameOf(error) {
  let last = error;
  while (last.cause) last = last.cause;
  const cause = last === error ? null : (last.code ?? last.constructor.name);
  return { name: error.constructor.name, cause, status: error.status ?? null };
}

async function meet(task, { base, limit }) {
  const client = new OpenAI({ baseURL: base, apiKey: "any", maxRetries: 0, timeout: limit });
  const met = { text: "", empty: 0, missing: 0, error: null };
  const work = task(client, met).catch((error) => { met.error = nameOf(error); });
  const waited = new Promise((resolve) => { setTimeout(() => resolve("waits"), 2 * limit); });
  if ((await Promise.race([work, waited])) === "waits") met.error = { name: "waits", cause: null, status: null };
  return met;
}

const faults = Object.entries(JSON.parse(readFileSync(0, "utf8")));
const met = await Promise.all(faults.map(async ([name, how]) => {
  const each = await Promise.all(Object.entries(tasks).map(async ([key, task]) => [key, await meet(task, how)]));
  return [name, Object.fromEntries(each)];
}));
console.log(JSON.stringify(Object.fromEntries(met)));
process.exit();
