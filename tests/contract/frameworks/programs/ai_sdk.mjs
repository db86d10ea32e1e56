// The AI SDK against the emulator: texts, streams, a tool loop, objects.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(createRequire(process.env.PACKAGES).resolve(name)));
const { embed, generateObject, generateText, stepCountIs, streamObject, streamText, tool } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { z } = await load("zod");

const vertex = createOpenAICompatible({
  name: "vertex",
  baseURL: process.env.BASE_URL,
  apiKey: process.env.API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = vertex(process.env.MODEL);
const maxRetries = 0;
const schema = z.object({ name: z.string(), guests: z.array(z.string()) });
const asked = [];
const tools = {
  getWeather: tool({
    description: "Get the weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      asked.push(city);
      return { temperature: 20 };
    },
  }),
};
const prompt = "What is the weather in Paris?";
const onError = ({ error }) => {
  throw error;
};

const plain = await generateText({ model, maxRetries, prompt });
assert.ok(plain.text);
assert.equal(plain.finishReason, "stop");
assert.ok(plain.usage.totalTokens > 0);

const stream = streamText({ model, maxRetries, prompt, onError });
let text = "";
for await (const piece of stream.textStream) text += piece;
assert.ok(text);
assert.equal(await stream.finishReason, "stop");
assert.ok((await stream.usage).totalTokens > 0);

const looped = await generateText({ model, maxRetries, prompt, tools, stopWhen: stepCountIs(3) });
assert.equal(asked.length, 1);
assert.equal(looped.steps.length, 2);
assert.ok(looped.text);

const streamedLoop = streamText({ model, maxRetries, prompt, tools, stopWhen: stepCountIs(3), onError });
assert.ok(await streamedLoop.text);
assert.equal((await streamedLoop.steps).length, 2);
assert.equal(asked.length, 2);

const made = await generateObject({ model, maxRetries, prompt, schema });
assert.equal(typeof made.object.name, "string");

const objects = streamObject({ model, maxRetries, prompt, schema, onError });
let last;
for await (const partial of objects.partialObjectStream) last = partial;
schema.parse(last);
schema.parse(await objects.object);

const { embedding } = await embed({
  model: vertex.textEmbeddingModel("intfloat/multilingual-e5-small-maas"),
  value: "a text",
});
assert.equal(embedding.length, 384);
