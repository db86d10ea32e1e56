// Genkit against the emulator: a tool, and structured output by a schema in the request and by one in the prompt.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.PACKAGES);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { genkit, z } = await load("genkit");
const { openAICompatible } = await load("@genkit-ai/compat-oai");

const { BASE_URL, API_KEY, MODEL } = process.env;
const ai = genkit({ plugins: [openAICompatible({ name: "vertex", baseURL: BASE_URL, apiKey: API_KEY })] });
const model = `vertex/${MODEL}`;
const schema = z.object({ name: z.string(), age: z.number() });

for (const constrained of [true, false]) {
  const { output } = await ai.generate({ model, prompt: "Ann is 30.", output: { schema, constrained } });
  assert.deepEqual(output, { name: "Ann", age: 30 });
}

const asked = [];
const weather = ai.defineTool(
  { name: "getWeather", description: "Gets the weather of a city", inputSchema: z.object({ city: z.string() }) },
  async ({ city }) => {
    asked.push(city);
    return "sunny";
  },
);
const { text } = await ai.generate({ model, prompt: "What is the weather in Oslo?", tools: [weather], maxTurns: 2 });
assert.deepEqual(asked, ["Oslo"]);
assert.match(text, /sunny/);
process.exit(0);
