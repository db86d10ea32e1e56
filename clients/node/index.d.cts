/** How to start an emulator, or which one to use. */
export interface StartOptions {
  /** Files and folders that answer all sessions that have no scenario of their own; the built-in default if there are none. */
  scenarios?: string | URL | readonly (string | URL)[];
  /** More options of `vertex-emulator serve`, such as `["--seed", "7"]`. */
  args?: readonly string[];
  /** The program, or its words; otherwise VERTEX_EMULATOR_COMMAND, or `vertex-emulator` in the path. */
  command?: string | readonly string[];
  /** The server's environment; this process's if it is left out. */
  env?: Record<string, string | undefined>;
  /** The folder that the server runs in. */
  cwd?: string;
  /** Whether the server's log goes to this process's standard error. */
  log?: boolean;
  /** How long the server may take to answer, in milliseconds: 30,000 if it is left out. */
  startTimeout?: number;
  /** A server that runs already, such as `http://127.0.0.1:8080`; otherwise VERTEX_EMULATOR_URL, unless `scenarios` or `args` are given. */
  url?: string;
  /** What opens the control path of a server on another machine; otherwise VERTEX_EMULATOR_CONTROL_TOKEN. */
  controlToken?: string;
  /** What clients send to a server that runs already; otherwise VERTEX_EMULATOR_API_KEY, or any token. */
  apiKey?: string;
}

/** A scenario: the path of a file, a text with a line break, or an object with the keys of a file. */
export type Scenario = string | URL | { rules?: readonly unknown[]; [key: string]: unknown };

/** Where a session's requests go. */
export interface SessionOptions {
  /** `global` if it is left out. */
  location?: string;
  /** `openapi` if it is left out; otherwise the id of a deployed endpoint. */
  endpoint?: string;
}

/** What verification looks for besides unanswered requests and unmet expectations. */
export interface VerifyOptions {
  /** Whether rules that were never used are problems. */
  strict?: boolean;
  /** Names of refusals that are expected, as `vertex-emulator errors` lists them; `*` and `?` stand for any characters. */
  refusals?: string | readonly string[];
  /** Whether any verdict on the client is a problem. */
  clean?: boolean;
}

/** A test's session. */
export interface TestOptions extends SessionOptions, VerifyOptions {
  /** What answers; a path is looked for beside the test's file first. The server's scenarios if it is left out. */
  scenario?: Scenario;
  /** Whether the variables of `Session.environment` are set while the test runs; not for tests that run concurrently. */
  env?: boolean;
  /** The project id; one made of the test's name and random characters if it is left out. */
  project?: string;
  /** The server; one that `startEmulator()` starts for this process if it is left out. */
  emulator?: Emulator | Promise<Emulator>;
}

/** Which exchanges of a journal. */
export interface JournalFilter {
  rule?: string;
  outcome?: Exchange["outcome"];
  number?: number;
  /** Only those behind this position. */
  after?: number;
  /** Only so many, the last ones. */
  limit?: number;
}

/** One request and its answer; docs/journal.md describes all keys. */
export interface Exchange {
  number: number;
  position: number;
  /** When it began, in UTC. */
  time: string;
  session: string;
  path: string;
  host: string | null;
  outcome: "answer" | "refusal" | "miss" | "error" | "token" | "unrouted";
  status: number;
  /** The name of the rule that answered. */
  rule: string | null;
  /** Where the rule is written: file, line and column. */
  place?: string | null;
  /** Which of the rule's replies it was, from 1. */
  reply?: number | null;
  model?: string;
  /** The beginning of the last message. */
  asked?: string;
  /** The beginning of the answer. */
  answered?: string;
  /** What the client was told, if no rule answered. */
  report?: string | null;
  /** Why Vertex would refuse it, and whether the scenario or the settings brought that about. */
  refusal: { name: string; place: string | null; explanation: string | null; scripted: boolean } | null;
  /** The body; an object, if it was JSON. */
  request?: any;
  /** One text for a plain answer, one for each event of a stream. */
  answer?: any;
  usage?: Record<string, any> | null;
  warnings?: string[];
  /** Those of the warnings that say what the scenario asks for and the answer does not do. */
  answer_warnings?: string[];
  /** Parameters that Vertex ignores. */
  ignored?: string[];
  quirks?: string[];
  duration_ms: number;
  timeline?: Record<string, any> | null;
  ended: string;
  sent_bytes?: number;
  /** Of a request that nothing routes. */
  method?: string;
  nearest_url?: string | null;
  leak?: boolean;
}

/** What a client did wrong; docs/verdicts.md lists all. */
export interface Verdict {
  name: string;
  severity: "error" | "warning";
  /** The numbers of the exchanges that show it. */
  exchanges: number[];
  sentence: string;
  advice: string;
}

/** A mistake in a scenario. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  message: string;
}

/** What went wrong with the emulator itself: it cannot be started or reached, or does not take what it was given. */
export class EmulatorError extends Error {
  /** The mistakes in a scenario that was pushed. */
  readonly problems: Problem[];
}

/** What went wrong with a session, as `Session.verify` throws it. */
export class VerificationError extends Error {
  readonly problems: string[];
}

/** A running emulator. */
export class Emulator {
  private constructor();
  readonly url: string;
  /** The server's process, if this process has started it. */
  readonly pid?: number;
  /** A token that clients may send. */
  readonly apiKey: string;
  /** The page that shows what happens. */
  readonly pageUrl: string;
  /** The session of a project, or of a new one. */
  session(project?: string, options?: SessionOptions): Session;
  /** Let processes that are started from now on use this server: their `startEmulator` connects to it. */
  share(): void;
  /** Ask the control path, such as `control("GET", "explain", { number: 1 })`, and return the JSON of its answer. */
  control(method: string, name: string, query?: Record<string, unknown>, body?: string): Promise<any>;
  /** End the server, if this process has started it. */
  stop(): Promise<void>;
}

/** What belongs to one project id: base URL, rules, counters and journal. */
export class Session {
  private constructor();
  readonly project: string;
  readonly location: string;
  readonly endpoint: string;
  readonly baseURL: string;
  readonly apiKey: string;
  /** The page that shows what happens. */
  readonly pageUrl: string;
  /** What `new OpenAI(...)` takes: `baseURL`, `apiKey` and the options that are given. */
  openai(): { baseURL: string; apiKey: string };
  openai<Options extends object>(options: Options): { baseURL: string; apiKey: string } & Options;
  /** Variables for programs that use an OpenAI client; set them beside those of the environment. */
  environment(): Record<string, string>;
  /** Set those variables in this process until the session is closed. */
  setEnvironment(): void;
  /** Give the session a scenario, which takes the place of the server's. */
  push(scenario: Scenario): Promise<void>;
  /** Forget counters, flags, quotas, the session's scenario and its journal. */
  reset(): Promise<void>;
  /** The exchanges, the oldest first. */
  journal(filter?: JournalFilter): Promise<Exchange[]>;
  /** The journal once it has so many exchanges; throws after `timeout` milliseconds, 5000 if it is left out. */
  waitFor(count: number, options?: { timeout?: number }): Promise<Exchange[]>;
  /** What the client did wrong. */
  verdicts(): Promise<Verdict[]>;
  /** What is doubtful in the scenario, and what it asks for that answers did not do. */
  warnings(): Promise<string[]>;
  /** Throw a VerificationError if a request went unanswered or would be refused, or a rule was not used as it expects. */
  verify(options?: VerifyOptions): Promise<void>;
  /** What `verify` would say. */
  problems(options?: VerifyOptions): Promise<string[]>;
  /** What was asked and answered, and the verdicts on the client, as text. */
  report(): Promise<string>;
  /** Reset the session, and restore what `setEnvironment` has set. */
  close(): Promise<void>;
}

/** Start `vertex-emulator serve`, or connect to the server that `url` or VERTEX_EMULATOR_URL names. It ends with this process. */
export function startEmulator(options?: StartOptions): Promise<Emulator>;

/** What `testSession` needs of what a test function gets: `t` of node:test, or the context of Vitest. */
export type TestContext =
  | { readonly name: string; after(hook: () => Promise<void>): void }
  | { readonly task: { readonly name: string }; onTestFinished(hook: () => Promise<void>): void };

/** Open a session for one test, of node:test or Vitest; when the test ends it is verified, which may fail the test, and closed. */
export function testSession(context: TestContext, options?: TestOptions): Promise<Session>;
