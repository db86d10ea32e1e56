// LangChain.js against the emulator: texts, streams, a tool loop, structured output, embeddings.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(createRequire(process.env.PACKAGES).resolve(name)));
const { ChatOpenAI, OpenAIEmbeddings } = await load("@langchain/openai");
const { HumanMessage, ToolMessage } = await load("@langchain/core/messages");
const { tool } = await load("@langchain/core/tools");
const { z } = await load("zod");

const where = { apiKey: process.env.API_KEY, configuration: { baseURL: process.env.BASE_URL }, maxRetries: 0 };
const model = new ChatOpenAI({ model: process.env.MODEL, ...where });
const getWeather = tool(async () => '{"temperature": 20}', {
  name: "getWeather",
  description: "Get the weather of a city",
  schema: z.object({ city: z.string() }),
});
const question = new HumanMessage("What is the weather in Paris?");

const plain = await model.invoke("Hello");
assert.ok(plain.content);
assert.ok(plain.usage_metadata.total_tokens > 0);

let whole;
for await (const chunk of await model.stream("Hello")) whole = whole ? whole.concat(chunk) : chunk;
assert.ok(whole.content);
assert.ok(whole.usage_metadata.total_tokens > 0);

const withTool = model.bindTools([getWeather]);
for (const ask of [
  (messages) => withTool.invoke(messages),
  async (messages) => {
    let joined;
    for await (const chunk of await withTool.stream(messages)) joined = joined ? joined.concat(chunk) : chunk;
    return joined;
  },
]) {
  const called = await ask([question]);
  assert.equal(called.tool_calls.length, 1);
  assert.equal(typeof called.tool_calls[0].args.city, "string");
  const result = await getWeather.invoke(called.tool_calls[0]);
  assert.ok(result instanceof ToolMessage);
  const answered = await ask([question, called, result]);
  assert.ok(answered.content);
  assert.equal(answered.tool_calls.length, 0);
}

const schema = z.object({ name: z.string(), guests: z.array(z.string()) });
for (const method of ["jsonSchema", "functionCalling"]) {
  schema.parse(await model.withStructuredOutput(schema, { method, name: "event" }).invoke("A party for Ann."));
}

const embeddings = new OpenAIEmbeddings({ model: "intfloat/multilingual-e5-small-maas", ...where });
assert.deepEqual((await embeddings.embedDocuments(["one", "two"])).map((one) => one.length), [384, 384]);
