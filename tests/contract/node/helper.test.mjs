// What the package of clients/node does, called as a program calls it. VERTEX_EMULATOR_URL must not be set.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import * as client from "vertex-openai-emulator";

const { EmulatorError, VerificationError, startEmulator, testSession } = client;
const model = "google/gemini-3.5-flash";

let emulator;
before(async () => void (emulator = await startEmulator({ args: ["--seed", "7"] })));
after(() => emulator.stop());

async function ask(session, content, more = {}) {
  const body = { model, messages: [{ role: "user", content }], ...more };
  const completion = await new OpenAI(session.openai({ maxRetries: 0 })).chat.completions.create(body);
  return completion.choices?.[0].message.content ?? completion;
}

async function messageOf(promise, kind = EmulatorError) {
  const error = await promise.then(
    () => assert.fail("no error was thrown"),
    (reason) => reason,
  );
  assert.equal(error.constructor, kind, error.stack);
  return error.message;
}

test("a scenario is pushed as a file, a URL, a text and an object", async () => {
  const file = new URL("pushed scenario.yaml", import.meta.url);
  await writeFile(file, "rules: [{reply: Hi}]");
  const session = emulator.session();
  for (const scenario of [file, fileURLToPath(file), "rules:\n- reply: Hi", { rules: [{ reply: "Hi" }] }]) {
    await session.push(scenario);
    assert.equal(await ask(session, "Hello"), "Hi");
    await session.reset();
  }
  assert.notEqual(await ask(session, "Hello"), "Hi");
});

test("what is wrong with a scenario is told", async () => {
  const session = emulator.session("p");
  const push = (scenario) => messageOf(session.push(scenario));
  assert.match(await push({ rules: [{ repyl: "Hi" }] }), /:4:7: unknown key "repyl" in a rule; did you mean "reply"\?/);
  const wrong = await session.push("\nrules: 1").catch((error) => error);
  assert.equal(wrong.problems[0].line, 2);
  assert.match(await push("nowhere.yaml"), /^the scenario nowhere\.yaml cannot be read: there is no such file; give a file, a text/);
  assert.match(await push("waether.yaml"), /there is no such file \(did you mean "weather\.yaml"\?\); give/);
  assert.match(await push(new URL(".", import.meta.url)), /cannot be read: it is a folder/);
});

test("sessions know nothing of each other", async () => {
  const [one, two] = [emulator.session(), emulator.session()];
  assert.notEqual(one.project, two.project);
  await one.push({ rules: [{ reply: "one" }] });
  await two.push({ rules: [{ reply: "two" }] });
  assert.deepEqual(await Promise.all([ask(one, "?"), ask(two, "?")]), ["one", "two"]);
  await one.reset();
  assert.deepEqual(await one.journal(), []);
  const [exchange] = await two.journal({ outcome: "answer", limit: 1 });
  assert.equal(exchange.request.messages[0].content, "?");
});

test("the base URL has project, location and endpoint", () => {
  const session = emulator.session("p", { location: "europe-west4", endpoint: "123" });
  const wanted = `${emulator.url}/v1/projects/p/locations/europe-west4/endpoints/123`;
  assert.deepEqual(session.openai({ timeout: 1 }), { baseURL: wanted, apiKey: emulator.apiKey, timeout: 1 });
});

test("verification tells what is wrong, and only that", async () => {
  const session = emulator.session();
  await session.push({ rules: [{ name: "twice", when: { last_user: "a" }, expect: { times: 2 }, reply: "A" }, { name: "never", reply: { fail: 404 }, when: { last_user: "n" } }] });
  await ask(session, "a");
  assert.deepEqual(await session.problems(), await session.problems({ strict: false }));
  assert.match((await session.problems()).join(), /^"twice", .*: answered once, expected 2 times$/);
  await ask(session, "a");
  await session.verify();
  assert.match((await session.problems({ strict: true })).join(), /^"never", .*: never answered$/);

  await assert.rejects(ask(session, "a", { model: "gemini" }), { status: 400 });
  assert.match(await messageOf(session.verify(), VerificationError), /would be refused by Vertex \(malformed_publisher_model\): [^]*\n {2}expected\? \{refusals: \["malformed_publisher_model"\]\}/);
  await session.verify({ refusals: "malformed_*" });
  await session.verify({ refusals: ["other", "malformed_publisher_model"] });
  assert.equal((await session.problems({ refusals: "malformed" })).length, 1);
  assert.match((await session.problems({ refusals: "*", clean: true })).join(), /error: model_without_publisher \(#\d+\): /);
  assert.equal((await session.verdicts())[0].name, "model_without_publisher");

  await assert.rejects(ask(session, "b"), { status: 418 });
  assert.match(await messageOf(session.verify(), VerificationError), /nearest: "twice"[^]*-> miss 418/);
});

test("refusals that the scenario brings about are no problems", async () => {
  const session = emulator.session();
  await session.push({ quota: { requests_per_minute: 1 }, rules: [{ reply: "Hi" }] });
  await ask(session, "a");
  await assert.rejects(ask(session, "a"), { status: 429 });
  await session.verify();
});

test("requests that lead nowhere are problems", async () => {
  const session = emulator.session();
  await fetch(`${session.baseURL}/nowhere`);
  assert.match(await messageOf(session.verify(), VerificationError), /nowhere[^]*-> unrouted 404/);
});

test("a report says why a request has no answer", async () => {
  const session = emulator.session();
  await session.push({ rules: [{ name: "weather", when: { last_user: "weather" }, reply: "It rains." }] });
  await fetch(`${session.baseURL}/chat/completion`);
  await assert.rejects(ask(session, "weather?", { model: "gemini" }), { status: 400 });
  await assert.rejects(ask(session, "How was the match?"), { status: 418 });
  await ask(session, "How is the weather?");
  const lines = (await session.report()).split("\n");
  const nowhere = lines.findIndex((line) => /^#\d+ GET .*\/chat\/completion -> unrouted 404$/.test(line));
  assert.match(lines[nowhere + 1], /^ {2}no such path; did you mean "POST http:.*\/chat\/completions"\?$/);
  const refused = lines.findIndex((line) => line.endsWith('"weather?" -> refusal 400'));
  assert.match(lines[refused + 1], /^ {2}malformed_publisher_model: ./);
  const missed = lines.findIndex((line) => line.endsWith('"How was the match?" -> miss 418'));
  assert.match(lines[missed + 1], /^ {2}no rule of /);
  assert.ok(lines.includes('    last_user  MISS  wanted text containing "weather", got "How was the match?"'), lines.join("\n"));
  const answered = lines.findIndex((line) => line.endsWith('-> "weather" 200 "It rains."'));
  assert.doesNotMatch(lines[answered + 1], /^ /);
  // The problems say it already.
  const { message } = await session.verify().catch((error) => error);
  assert.equal(message.split("did you mean").length, 2);
  assert.equal(message.split("last_user  MISS").length, 2);
});

test("options that are not known are told, with the nearest and all that are", async (t) => {
  const session = emulator.session();
  const told = async (call) => messageOf(Promise.resolve().then(call), TypeError);
  const test = "scenario, strict, refusals, clean, env, project, location, endpoint, emulator";
  assert.equal(
    await told(() => testSession(t, { emulator, scenarios: "weather.yaml" })),
    `unknown option "scenarios" of testSession; did you mean "scenario"? its options: ${test}`,
  );
  assert.equal(await told(() => testSession(t, { retries: 2 })), `unknown option "retries" of testSession; its options: ${test}`);
  assert.equal(
    await told(() => testSession(t, "weather.yaml")),
    `the options of testSession are "weather.yaml"; expected an object, such as { scenario: ... }; its options: ${test}`,
  );
  assert.match(await told(() => testSession(t, null)), /^the options of testSession are null; expected an object/);
  assert.match(await told(() => startEmulator({ scenario: "weather.yaml" })), /^unknown option "scenario" of startEmulator; did you mean "scenarios"\? its options: scenarios, args, command,/);
  assert.match(await told(() => startEmulator({ timeout: 1 })), /did you mean "startTimeout"\?/);
  assert.match(await told(() => startEmulator({ apikey: "x" })), /did you mean "apiKey"\?/);
  assert.match(await told(() => emulator.session("p", { region: "global" })), /^unknown option "region" of session; its options: location, endpoint$/);
  assert.match(await told(() => session.journal({ outcomes: "miss" })), /^unknown option "outcomes" of journal; did you mean "outcome"\?/);
  assert.match(await told(() => session.waitFor(0, { timeOut: 1 })), /^unknown option "timeOut" of waitFor; did you mean "timeout"\?/);
  assert.match(await told(() => session.verify({ refusal: "*" })), /^unknown option "refusal" of verify; did you mean "refusals"\?/);
  assert.match(await told(() => session.problems({ strikt: true })), /^unknown option "strikt" of problems; did you mean "strict"\?/);
  const { useVertex } = await import("vertex-openai-emulator/jest");
  assert.match(await told(() => useVertex({ scenarios: "weather.yaml" })), /^unknown option "scenarios" of useVertex; did you mean "scenario"\?/);
});

test("a forgotten await is told", async (t) => {
  const session = testSession(t, { emulator });
  const message = (name) => `testSession(...) returns a promise, which has no "${name}"; await it: await testSession(...)`;
  for (const name of ["baseURL", "apiKey", "project", "openai", "journal"]) {
    assert.throws(() => session[name], { name: "TypeError", message: message(name) });
  }
  const members = new Set([...Object.keys(await session), ...Object.getOwnPropertyNames(client.Session.prototype)]);
  members.delete("constructor");
  for (const name of members) assert.throws(() => session[name], { message: message(name) });
  const starting = startEmulator({ url: emulator.url });
  assert.throws(() => starting.session("p"), { message: /^startEmulator\(\.\.\.\) returns a promise, which has no "session"; await it/ });
  assert.throws(() => starting.url, TypeError);
  const journal = (await session).journal();
  assert.throws(() => journal.length, { message: 'journal(...) returns a promise, which has no "length"; await it: await journal(...)' });
  assert.deepEqual(await journal, []);
  assert.throws(() => emulator.session().baseUrl, { message: 'a session has no "baseUrl"; did you mean "baseURL"?' });
  assert.throws(() => emulator.session().openai({ max_retries: 1 }), { message: 'the openai package has no option "max_retries"; did you mean "maxRetries"?' });
  assert.deepEqual(Object.keys(starting), []);
  await starting;
});

test("a stream that the client leaves can be waited for", async () => {
  const session = emulator.session();
  await session.push({ rules: [{ pace: { every_ms: 3600000 }, reply: { say: "Hi there", chunks: ["Hi", " there"] } }] });
  const stream = await ask(session, "?", { stream: true });
  for await (const _ of stream) break;
  const [exchange] = await session.waitFor(1);
  assert.equal(exchange.ended, "client left");
  assert.match(await messageOf(session.waitFor(2, { timeout: 40 })), /has 1 exchanges after 40 ms, 2 were waited for/);
});

test("variables are set until the session is closed", async (t) => {
  process.env.OPENAI_BASE_URL = "http://before";
  delete process.env.OPENAI_API_KEY;
  process.env.NO_PROXY = "example.com";
  await t.test("inside", async (inner) => {
    const session = await testSession(inner, { emulator, env: true, scenario: { rules: [{ reply: "Hi" }] } });
    assert.equal(process.env.OPENAI_BASE_URL, session.baseURL);
    assert.equal(process.env.NO_PROXY, "example.com,127.0.0.1,localhost");
    const completion = await new OpenAI().chat.completions.create({ model, messages: [{ role: "user", content: "?" }] });
    assert.equal(completion.choices[0].message.content, "Hi");
  });
  assert.equal(process.env.OPENAI_BASE_URL, "http://before");
  assert.equal(process.env.OPENAI_API_KEY, undefined);
});

test("no test's fakes disturb the helper", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(globalThis, "fetch", () => assert.fail("the helper uses the global fetch"));
  const session = emulator.session();
  await session.push({ rules: [{ reply: "Hi" }] });
  await messageOf(session.waitFor(1, { timeout: 40 }));
});

test("a shared server is used by processes that are started afterwards", async () => {
  const run = (options = "") => {
    const program = `import { startEmulator } from "vertex-openai-emulator"; console.log((await startEmulator(${options})).url)`;
    return spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" }).stdout.trim();
  };
  emulator.share();
  assert.equal(run(), emulator.url);
  assert.notEqual(run("{ args: [] }"), emulator.url);
  assert.match(await messageOf(startEmulator({ url: emulator.url, scenarios: "a.yaml" })), /^`scenarios` is for a server that is started/);
  delete process.env.VERTEX_EMULATOR_URL;
});

test("that the server has ended is told", async () => {
  const other = await startEmulator();
  process.kill(other.pid, "SIGKILL");
  const message = await messageOf(untilItFails(() => other.session().journal()));
  assert.match(message, /^no emulator answers at http:[^]*; it ended with signal SIGKILL$/);
  await other.stop();
});

async function untilItFails(call) {
  for (;;) await call().then(() => new Promise((resolve) => setTimeout(resolve, 10)));
}
