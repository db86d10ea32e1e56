// What a Node program does with the openai package, one task at a time: `node client.mjs TASK` prints JSON.
// OPENAI_PACKAGE is where the package is installed; OPENAI_BASE_URL and OPENAI_API_KEY are read by the client itself.
import { createRequire } from "node:module";

const { default: OpenAI } = createRequire(process.env.OPENAI_PACKAGE)("openai");
const client = new OpenAI({ maxRetries: 2 });
const model = "google/gemini-3.1-pro-preview";
const say = (content) => [{ role: "user", content }];

const tool = {
  type: "function",
  function: {
    name: "get_current_weather",
    parameters: {
      type: "object",
      properties: { location: { type: "string" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
      required: ["location", "unit"],
    },
  },
};

async function failure(request) {
  try {
    await client.chat.completions.create(request);
  } catch (error) {
    return { name: error.constructor.name, status: error.status, message: error.message, code: error.code ?? null };
  }
  throw new Error("no error was raised");
}

const tasks = {
  create: () => client.chat.completions.create({ model, messages: say("hello") }),

  async stream() {
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ model, messages: say("hello"), stream: true })) {
      chunks.push(chunk);
    }
    return chunks;
  },

  async events() {
    const stream = client.chat.completions.stream({ model, messages: say("hello") });
    let content = "";
    stream.on("content", (delta) => { content += delta; });
    const final = await stream.finalChatCompletion();
    return { content, final: final.choices[0].message.content, usage: final.usage };
  },

  async tools() {
    const messages = say("The weather in Paris and Rome, please.");
    const first = await client.chat.completions.create({ model, messages, tools: [tool] });
    const { message } = first.choices[0];
    const results = message.tool_calls.map((call, index) => ({
      role: "tool",
      tool_call_id: call.id,
      content: JSON.stringify({ location: JSON.parse(call.function.arguments).location, temperature: 20 + index }),
    }));
    const second = await client.chat.completions.create({ model, messages: [...messages, message, ...results], tools: [tool] });
    return { first, second };
  },

  async streamedTools() {
    const stream = client.chat.completions.stream({ model, messages: say("The weather in Paris and Rome, please."), tools: [tool] });
    return stream.finalChatCompletion();
  },

  async parse() {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, participants: { type: "array", items: { type: "string" }, minItems: 1 } },
      required: ["name", "participants"],
      additionalProperties: false,
    };
    const completion = await client.chat.completions.parse({
      model,
      messages: say("Make an event up."),
      response_format: { type: "json_schema", json_schema: { name: "event", strict: true, schema } },
    });
    return JSON.parse(completion.choices[0].message.content);
  },

  retry: () => client.chat.completions.create({ model, messages: say("retry") }),
  miss: () => failure({ model, messages: say("good morning") }),
  refusal: () => failure({ model: "gemini-2.5-flash", messages: say("hello") }),
};

console.log(JSON.stringify(await tasks[process.argv[2]]()));
