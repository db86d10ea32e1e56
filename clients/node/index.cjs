"use strict";
// The helper itself, as CommonJS, because Jest cannot load ES modules without a flag; index.mjs exports it as an ES module.

const { spawn } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const { access, readFile, readdir } = require("node:fs/promises");
const http = require("node:http");
const https = require("node:https");
const path = require("node:path");
const { clearTimeout, setTimeout } = require("node:timers"); // not the globals, which a test may replace
const { fileURLToPath } = require("node:url");

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
/** How long the control path may be silent. */
const REQUEST_TIMEOUT_MS = 30_000;
const POLL_INTERVAL_MS = 20;
/** How long the end of a server may take to be noticed. */
const NOTICE_MS = 1000;
/** How much of the end of the server's log an error shows, in characters. */
const MAX_LOG = 10_000;
const MAX_NAME = 40;
/** Exchanges that a report shows, and characters of each text. */
const MAX_EXCHANGES = 20;
const MAX_TEXT = 100;
/** What pip takes while the emulator is on no package index. */
const SOURCE = "vertex-openai-emulator[exec] @ git+https://github.com/vertex-openai-emulator/vertex-openai-emulator";

const SESSION_OPTIONS = ["location", "endpoint"];
const VERIFY_OPTIONS = ["strict", "refusals", "clean"];
const TEST_OPTIONS = ["scenario", ...VERIFY_OPTIONS, "env", "project", ...SESSION_OPTIONS, "emulator"];
const START_OPTIONS = ["scenarios", "args", "command", "env", "cwd", "log", "startTimeout", "url", "controlToken", "apiKey"];
const JOURNAL_FILTER = ["rule", "outcome", "number", "after", "limit"];

/** An error whose stack shows the test only, and whose problems runners do not print, because the message has them too. */
class PlainError extends Error {
  constructor(message, problems = []) {
    super(message);
    this.name = this.constructor.name;
    Object.defineProperty(this, "problems", { value: problems });
    this.pointTo(this.stack);
  }

  /** Take the frames of another stack, without those of this package and of Node. */
  pointTo(stack) {
    const frames = stack.split("\n").filter((line) => /^ +at /.test(line) && !line.includes(__dirname) && !/[( ]node:/.test(line));
    this.stack = [`${this.name}: ${this.message}`, ...frames].join("\n");
  }
}

/** What went wrong with the emulator itself: it cannot be started or reached, or does not take what it was given. */
class EmulatorError extends PlainError {}

/** What went wrong with a session, as `Session.verify` throws it. */
class VerificationError extends PlainError {}

/** Throw a TypeError if options are no object or have a name that is not known; `taker` is the function that they are given to. */
function checkOptions(taker, options, known) {
  const list = `its options: ${known.join(", ")}`;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`the options of ${taker} are ${JSON.stringify(options)}; expected an object, such as { ${known[0]}: ... }; ${list}`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = findNear(unknown, known);
  throw new TypeError(`unknown option "${unknown}" of ${taker}; ${near ? `did you mean "${near}"? ` : ""}${list}`);
}

/** The known name that differs least from a word, case ignored, or that has it as a part; undefined if none is near. */
function findNear(word, known) {
  const wanted = word.toLowerCase();
  const rated = known.map((name) => [countEdits(wanted, name.toLowerCase()), name]).sort(([a], [b]) => a - b);
  const [edits, nearest] = rated[0];
  if (edits <= Math.max(1, wanted.length / 3)) return nearest;
  return known.find((name) => wanted.length > 2 && name.toLowerCase().includes(wanted));
}

/** The name of the file in the same folder that differs least from a missing one; undefined if none is near. */
async function findNearFile(file) {
  const names = await readdir(path.dirname(file)).catch(() => []);
  return names.length > 0 ? findNear(path.basename(file), names) : undefined;
}

/** How many characters have to be put in, taken out or replaced to make one text of another. */
function countEdits(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= other.length; j++) {
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1));
    }
  }
  return row[other.length];
}

/** Let a promise say so if somebody uses it as if it were what it promises, an instance of this class. */
function remindToAwait(promise, Class, fields, call) {
  for (const name of [...fields, ...Object.getOwnPropertyNames(Class.prototype)]) {
    if (name === "constructor") continue;
    Object.defineProperty(promise, name, {
      get() {
        throw new TypeError(`${call} returns a promise, which has no "${name}"; await it: await ${call}`);
      },
    });
  }
  return promise;
}

/** Start `vertex-emulator serve`, or connect to the server that `url` or VERTEX_EMULATOR_URL names. */
function startEmulator(options = {}) {
  return remindToAwait(findEmulator(options), Emulator, ["url", "pid", "apiKey", "pageUrl"], "startEmulator(...)");
}

async function findEmulator(options) {
  checkOptions("startEmulator", options, START_OPTIONS);
  // A server that runs already has scenarios and options of its own, so these ask for another one.
  const own = ["scenarios", "args"].find((name) => options[name] !== undefined);
  if (own && options.url) {
    throw new EmulatorError(`\`${own}\` is for a server that is started, not for the one at ${options.url}; push scenarios to its sessions`);
  }
  const url = options.url ?? (own ? undefined : (options.env ?? process.env).VERTEX_EMULATOR_URL);
  if (!url) return new Emulator(await ServerProcess.start(options), options);
  const emulator = new Emulator({ url: readUrl(url) }, options);
  await emulator.control("GET", "health");
  return emulator;
}

function readUrl(text) {
  try {
    const { origin, protocol } = new URL(text);
    if (protocol === "http:" || protocol === "https:") return origin;
  } catch {} // said below
  throw new EmulatorError(`the URL of the emulator is "${text}"; expected one such as http://127.0.0.1:8080`);
}

/** A server that this process has started. It ends when this process does, because that closes its standard input. */
class ServerProcess {
  #child;
  #closed;
  #log = "";
  #ended = "";

  static async start({ scenarios = [], args = [], command, env = process.env, cwd, log = false, startTimeout = START_TIMEOUT_MS }) {
    const server = new ServerProcess();
    const words = ["serve", "--port", "0", "--print", "json", "--until-stdin-closes", ...(log ? [] : ["--quiet"]), ...args];
    // Behind `--` even a scenario whose name begins with a dash is no option.
    words.push("--", ...[scenarios].flat().map(readPath));
    const [program, ...first] = [command ?? env.VERTEX_EMULATOR_COMMAND ?? "vertex-emulator"].flat();
    Object.assign(server, await server.#spawn(program, [...first, ...words], { env, cwd }, log, startTimeout));
    return server;
  }

  #spawn(program, words, { env, cwd }, log, startTimeout) {
    return new Promise((resolve, reject) => {
      const child = (this.#child = spawn(program, words, { env, cwd, stdio: ["pipe", "pipe", "pipe"] }));
      const fail = (message) => {
        clearTimeout(timer);
        child.kill("SIGKILL");
        reject(new EmulatorError(message));
      };
      const timer = setTimeout(
        () => fail(`"${program} serve" did not answer within ${startTimeout} ms${this.#logText()}`),
        startTimeout,
      );
      let output = "";
      let isReady = false;
      child.stdout.setEncoding("utf8").on("data", (text) => {
        output += text;
        const end = output.indexOf("\n");
        if (end < 0 || isReady) return;
        clearTimeout(timer);
        // Node may end in spite of these.
        for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle.unref();
        try {
          const started = JSON.parse(output.slice(0, end));
          isReady = true;
          resolve(started);
        } catch {
          fail(`"${program} serve --print json" printed ${JSON.stringify(cut(output))}; expected a line of JSON`);
        }
      });
      child.stderr.setEncoding("utf8").on("data", (text) => {
        this.#log = (this.#log + text).slice(-MAX_LOG);
        if (log) process.stderr.write(text);
      });
      child.stdin.on("error", () => {}); // the server has ended, which `close` tells
      child.on("error", (error) =>
        fail(
          error.code === "ENOENT"
            ? `the command "${program}" is not found; install it (pip install '${SOURCE}'), or say where it is ` +
                "by the option `command` or VERTEX_EMULATOR_COMMAND, such as .venv/bin/vertex-emulator"
            : `"${program}" cannot be run: ${error.message}`,
        ),
      );
      this.#closed = new Promise((notify) => child.on("close", notify)); // not events.once, which fails on `error`
      child.on("close", (status, signal) => {
        this.#ended = `it ended with ${signal ? `signal ${signal}` : `exit status ${status}`}`;
        fail(`"${program} serve" did not start; ${this.#ended}${this.#logText()}`);
      });
    });
  }

  /** Why a server that does not answer has ended, if it has; its end may take a moment to be noticed. */
  async describeEnd() {
    await Promise.race([this.#closed, sleep(NOTICE_MS)]);
    return this.#ended && `; ${this.#ended}${this.#logText()}`;
  }

  #logText() {
    return this.#log.trim() && `; it said:\n${this.#log.trim()}`;
  }

  async stop() {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    for (const handle of [this.#child, this.#child.stdout, this.#child.stderr]) handle.ref();
    this.#child.stdin.end();
    await this.#closed;
    clearTimeout(timer);
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A running emulator. */
class Emulator {
  #server;
  #token;

  constructor(server, { controlToken, apiKey, env = process.env }) {
    this.#server = server;
    this.#token = controlToken ?? env.VERTEX_EMULATOR_CONTROL_TOKEN;
    this.url = server.url;
    this.pid = server.pid;
    this.apiKey = apiKey ?? server.api_key ?? env.VERTEX_EMULATOR_API_KEY ?? "any-token";
    this.pageUrl = `${this.url}/__emulator__/`;
  }

  session(project = `test-${randomBytes(4).toString("hex")}`, options = {}) {
    checkOptions("session", options, SESSION_OPTIONS);
    return new Session(this, project, options);
  }

  /** Let processes that are started from now on use this server: their `startEmulator` connects to it. */
  share() {
    process.env.VERTEX_EMULATOR_URL = this.url;
    process.env.VERTEX_EMULATOR_API_KEY = this.apiKey;
    if (this.#token) process.env.VERTEX_EMULATOR_CONTROL_TOKEN = this.#token;
  }

  async stop() {
    await this.#server.stop?.();
  }

  /** Ask the control path; returns the JSON of the answer. */
  async control(method, name, query = {}, body = undefined) {
    return (await this.ask(method, name, query, body)).value;
  }

  /** Ask the control path; returns the JSON of the answer, and the warning in its header. */
  async ask(method, name, query = {}, body = undefined) {
    const url = new URL(`/__emulator__/${name}`, this.url);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
    const headers = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
    let answer;
    try {
      answer = await exchange(method, url, headers, body);
    } catch (error) {
      const why = error.code ?? error.message;
      const more = (await this.#server.describeEnd?.()) ?? "; `url` or VERTEX_EMULATOR_URL says where it runs";
      throw new EmulatorError(`no emulator answers at ${this.url} (${why})${more}`);
    }
    const { status, text, warning } = answer;
    let value;
    try {
      value = text && JSON.parse(text);
    } catch {} // said below
    if (value === undefined) throw new EmulatorError(`what answers at ${this.url} is no emulator`);
    if (status >= 200 && status < 300) return { value, warning };
    const { message = `${this.url} answers with status ${status}, so it is no emulator`, problems } = value?.error ?? {};
    throw new EmulatorError(message.replace(/^emulator: /, ""), problems);
  }
}

/** One HTTP request, not by `fetch`, which a test may replace, and not through a proxy of the environment. */
function exchange(method, url, headers, body) {
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false, timeout: REQUEST_TIMEOUT_MS };
    const request = (url.protocol === "https:" ? https : http).request(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (more) => (text += more));
      const warning = response.headers["x-emulator-warning"];
      response.on("error", reject).on("end", () => resolve({ status: response.statusCode, text, warning }));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)));
    request.on("error", reject).end(body);
  });
}

/** What belongs to one project id: base URL, rules, counters and journal. */
class Session {
  #emulator;
  #restore = () => {};
  /** What was doubtful in the scenario that was pushed last. */
  #warning;

  constructor(emulator, project, { location = "global", endpoint = "openapi" } = {}) {
    this.#emulator = emulator;
    this.project = project;
    this.location = location;
    this.endpoint = endpoint;
    this.baseURL = `${emulator.url}/v1/projects/${project}/locations/${location}/endpoints/${endpoint}`;
    this.apiKey = emulator.apiKey;
    this.pageUrl = emulator.pageUrl;
  }

  openai(options = {}) {
    const snake = Object.keys(options).find((name) => name.includes("_"));
    if (snake) {
      const camel = snake.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
      throw new TypeError(`the openai package has no option "${snake}"; did you mean "${camel}"?`);
    }
    return { baseURL: this.baseURL, apiKey: this.apiKey, ...options };
  }

  environment() {
    const { hostname } = new URL(this.baseURL);
    const direct = [process.env.NO_PROXY || process.env.no_proxy, "127.0.0.1", "localhost", hostname].filter(Boolean);
    const noProxy = [...new Set(direct.join(",").split(","))].join(",");
    return {
      OPENAI_BASE_URL: this.baseURL,
      OPENAI_API_KEY: this.apiKey,
      GOOGLE_CLOUD_PROJECT: this.project,
      GOOGLE_CLOUD_LOCATION: this.location,
      NO_PROXY: noProxy, // otherwise clients would go through a proxy of the environment
      no_proxy: noProxy,
    };
  }

  /** Set those variables in this process until the session is closed. */
  setEnvironment() {
    this.#restore();
    const variables = this.environment();
    const before = Object.keys(variables).map((name) => [name, process.env[name]]);
    Object.assign(process.env, variables);
    this.#restore = () => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      this.#restore = () => {};
    };
  }

  async push(scenario) {
    const isText = typeof scenario === "string" && scenario.includes("\n");
    const isFile = typeof scenario === "string" || scenario?.href !== undefined;
    if (!isFile || isText) {
      await this.#put({}, isText ? scenario : JSON.stringify(scenario, null, 2));
      return;
    }
    const file = readPath(scenario);
    let text;
    try {
      text = await readFile(file);
    } catch (error) {
      const near = error.code === "ENOENT" ? await findNearFile(file) : undefined;
      const missing = `there is no such file${near ? ` (did you mean "${near}"?)` : ""}`;
      const what = { ENOENT: missing, EISDIR: "it is a folder" }[error.code] ?? error.message;
      throw new EmulatorError(
        `the scenario ${file} cannot be read: ${what}; give a file, a text with a line break, or an object`,
      );
    }
    await this.#put({ file: path.relative("", file) }, text);
  }

  async #put(query, text) {
    const { warning } = await this.#emulator.ask("PUT", "scenario", { ...query, session: this.project }, text);
    this.#warning = warning;
  }

  async reset() {
    await this.#control("POST", "reset");
  }

  journal(filter = {}) {
    return remindToAwait(this.#readJournal(filter), Array, ["0"], "journal(...)");
  }

  async #readJournal(filter) {
    checkOptions("journal", filter, JOURNAL_FILTER);
    return (await this.#control("GET", "journal", filter)).exchanges;
  }

  /** The journal, once it has so many exchanges: one that the client leaves is there only when the server has noticed. */
  async waitFor(count, options = {}) {
    checkOptions("waitFor", options, ["timeout"]);
    const { timeout = 5000 } = options;
    for (let waited = 0; ; waited += POLL_INTERVAL_MS) {
      const exchanges = await this.journal();
      if (exchanges.length >= count) return exchanges;
      if (waited >= timeout) {
        throw new EmulatorError(`the session ${this.project} has ${exchanges.length} exchanges after ${timeout} ms, ${count} were waited for`);
      }
      await sleep(POLL_INTERVAL_MS);
    }
  }

  verdicts() {
    const found = this.#control("GET", "verdicts").then(({ verdicts }) => verdicts);
    return remindToAwait(found, Array, ["0"], "verdicts()");
  }

  /** What is doubtful in the scenario, and what it asks for that answers did not do. */
  warnings() {
    return remindToAwait(this.#listWarnings(), Array, ["0"], "warnings()");
  }

  async #listWarnings() {
    const found = (await this.#readJournal({})).flatMap(({ answer_warnings: warnings }) => warnings ?? []);
    return [...new Set([this.#warning, ...found].filter(Boolean))];
  }

  /** What went wrong so far, each a sentence or a report of several lines. */
  async problems(options = {}) {
    checkOptions("problems", options, VERIFY_OPTIONS);
    return this.#findProblems(options);
  }

  async #findProblems({ strict = false, refusals = [], clean = false }) {
    const { unanswered, rules } = await this.#control("GET", "verify", { strict });
    const globs = [refusals].flat().map(readGlob);
    const refused = (await this.journal({ outcome: "refusal" })).filter(
      ({ refusal: { name, scripted } }) => !scripted && !globs.some((glob) => glob.test(name)),
    );
    const verdicts = clean ? await this.verdicts() : [];
    return [
      ...unanswered,
      ...rules,
      ...refused.map(
        ({ number, refusal: { name, explanation } }) =>
          `exchange ${number} would be refused by Vertex (${name}): ${explanation}\n  expected? {refusals: ["${name}"]}`,
      ),
      ...verdicts.map(showVerdict),
    ];
  }

  /** Throw a VerificationError if something went wrong. */
  async verify(options = {}) {
    checkOptions("verify", options, VERIFY_OPTIONS);
    const problems = await this.#findProblems(options);
    if (problems.length === 0) return;
    // The problems have already said why.
    const report = await this.#describe(showExchange);
    throw new VerificationError(`${problems.join("\n")}\n\n${report}`, problems);
  }

  /** What was asked and answered, and the verdicts on the client, as text. */
  async report() {
    return this.#describe((exchange) => [showExchange(exchange), ...explainExchange(exchange)].join("\n"));
  }

  async #describe(show) {
    const exchanges = await this.journal();
    const shown = exchanges.slice(-MAX_EXCHANGES).map(show);
    if (exchanges.length > shown.length) shown.unshift(`(${exchanges.length - shown.length} more before these)`);
    const verdicts = await this.verdicts();
    return [
      `exchanges of the session ${this.project}:`,
      ...(shown.length > 0 ? shown : ["none"]),
      ...(verdicts.length > 0 ? ["verdicts on its client:", ...verdicts.map(showVerdict)] : []),
      `the page: ${this.pageUrl}`,
    ].join("\n");
  }

  async close() {
    this.#restore();
    await this.reset();
  }

  #control(method, name, query = {}, body = undefined) {
    return this.#emulator.control(method, name, { ...query, session: this.project }, body);
  }
}

for (const [name, meant] of Object.entries({ baseUrl: "baseURL", base_url: "baseURL", url: "baseURL", apikey: "apiKey", api_key: "apiKey", pageURL: "pageUrl" })) {
  // A client that is given undefined asks the real service.
  Object.defineProperty(Session.prototype, name, {
    get() {
      throw new TypeError(`a session has no "${name}"; did you mean "${meant}"?`);
    },
  });
}

function readPath(file) {
  return file?.href === undefined ? file : fileURLToPath(file.href);
}

function readGlob(text) {
  const pattern = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${pattern}$`);
}

function showExchange({ number, outcome, method, path, asked, rule, status, answered, ended }) {
  const shown = [asked, answered].map((text) => JSON.stringify(cut(text ?? "")));
  const what = outcome === "unrouted" ? `${method} ${path}` : shown[0];
  const by = rule === null || rule === undefined ? outcome : `"${rule}"`;
  return [`#${number} ${what} -> ${by} ${status}`, answered && shown[1], ended !== "complete" && ended].filter(Boolean).join(" ");
}

/** Why an exchange has no answer, as indented lines; none if it has one. */
function explainExchange({ outcome, method, path, report, refusal, warnings }) {
  const told = outcome === "refusal" && refusal ? [refusal.name, refusal.explanation].filter(Boolean).join(": ") : "";
  // The report on a request that leads nowhere begins with what the line above it says already.
  const why = (report ?? "").replace(`${method} ${path}: `, "");
  return [told, why, ...(warnings ?? []).map((text) => `warning: ${text}`)].filter(Boolean).flatMap((text) => text.split("\n").map((line) => `  ${line}`));
}

function cut(text) {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`;
}

function showVerdict({ severity, name, exchanges, sentence, advice }) {
  return `${severity}: ${name} (${exchanges.map((number) => `#${number}`).join(", ")}): ${sentence}\n  ${advice}`;
}

let ownEmulator;

/** A session for one test, of node:test (its `t`) or Vitest (its context), verified and closed when the test ends. */
function testSession(context, options = {}) {
  const { stack } = new Error(); // where the test has asked for its session
  const fields = ["project", "location", "endpoint", "baseURL", "apiKey", "pageUrl"];
  return remindToAwait(openTestSession(context, options, stack), Session, fields, "testSession(...)");
}

async function openTestSession(context, options, stack) {
  checkOptions("testSession", options, TEST_OPTIONS);
  const after = context?.after ?? context?.onTestFinished;
  if (after === undefined) {
    throw new TypeError("testSession takes what the test function gets: `t` of node:test, or the context of Vitest; for Jest there is useVertex");
  }
  const file = context.filePath ?? context.task?.file?.filepath ?? process.argv[1] ?? "";
  const emulator = await (options.emulator ?? (ownEmulator ??= startEmulator()));
  const session = await openSession(emulator, context.task?.name ?? context.name, file, options);
  after.call(context, async () => {
    const hasFailed = context.task ? context.task.result?.state === "fail" : Boolean(context.error);
    // A test that has failed already needs no other error, but what it asked may say why.
    const print = (text) => {
      // One call for each line, because TAP has no line breaks in a comment.
      if (context.diagnostic) for (const line of text.split("\n")) context.diagnostic(line);
      else console.error(text);
    };
    if (!hasFailed) await finishSession(session, options, stack, print);
    else {
      print(await session.report());
      await session.close();
    }
  });
  return session;
}

/** Verify and close a session; a problem points to where the session was asked for. The client's errors in a test that passes are printed. */
async function finishSession(session, options, stack, print) {
  try {
    await session.verify(pick(options, VERIFY_OPTIONS));
    const errors = await listErrors(session, options.refusals);
    if (errors.length > 0) print(["the test passed, but its client made errors:", ...errors].join("\n"));
    const warnings = await session.warnings();
    if (warnings.length > 0) print(["the test passed, but there are warnings about its scenario:", ...warnings].join("\n"));
  } catch (error) {
    if (error instanceof PlainError) error.pointTo(stack);
    throw error;
  } finally {
    await session.close();
  }
}

/** The errors among the verdicts, without those that only refusals show which are expected. */
async function listErrors(session, refusals = []) {
  const errors = (await session.verdicts()).filter(({ severity }) => severity === "error");
  const globs = [refusals].flat().map(readGlob);
  const refused = errors.length > 0 && globs.length > 0 ? await session.journal({ outcome: "refusal" }) : [];
  const expected = refused.filter(({ refusal }) => globs.some((glob) => glob.test(refusal.name))).map(({ number }) => number);
  return errors.filter(({ exchanges }) => !exchanges.every((number) => expected.includes(number))).map(showVerdict);
}

/** Open a session for the test of this name in this file; `useVertex` and `testSession` do. */
async function openSession(emulator, name, file, options) {
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, MAX_NAME).replace(/^-|-$/g, "");
  const project = options.project ?? ["test", slug, randomBytes(4).toString("hex")].filter(Boolean).join("-");
  const session = emulator.session(project, pick(options, SESSION_OPTIONS));
  if (options.scenario !== undefined) await session.push(await findScenario(options.scenario, file));
  if (options.env) session.setEnvironment();
  return session;
}

function pick(options, names) {
  return Object.fromEntries(names.filter((name) => name in options).map((name) => [name, options[name]]));
}

/** The path of a scenario: beside the test's file, or in the current folder if it is there only. */
async function findScenario(scenario, file) {
  if (typeof scenario !== "string" || scenario.includes("\n")) return scenario;
  const beside = path.resolve(path.dirname(file), scenario);
  for (const found of [beside, path.resolve(scenario)]) {
    try {
      await access(found);
      return found;
    } catch {} // the next one
  }
  return beside;
}

// The lower four are for jest.cjs.
module.exports = {
  Emulator,
  EmulatorError,
  Session,
  VerificationError,
  startEmulator,
  testSession,
  TEST_OPTIONS,
  checkOptions,
  finishSession,
  openSession,
};
