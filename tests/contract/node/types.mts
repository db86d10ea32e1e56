// What the types of clients/node allow, and what they refuse; compiled, not run.
import test from "node:test";
import { EmulatorError, VerificationError, startEmulator, testSession } from "vertex-openai-emulator";
import type { Emulator, Exchange, Session, StartOptions, TestOptions, Verdict } from "vertex-openai-emulator";
import { useVertex } from "vertex-openai-emulator/jest";
import setup, { globalSetup, globalTeardown } from "vertex-openai-emulator/setup";

const start: StartOptions = { scenarios: ["a.yaml", new URL("b.yaml", import.meta.url)], args: ["--seed", "7"], log: true };
const options: TestOptions = { scenario: { rules: [{ reply: "Hi" }] }, strict: true, refusals: ["malformed_*"], env: true };

test("a session", async (t) => {
  const session: Session = await testSession(t, options);
  const { maxRetries }: { maxRetries: number } = session.openai({ maxRetries: 0 });
  void maxRetries;
  const exchanges: Exchange[] = await session.journal({ outcome: "miss", limit: 1 });
  const status: number | undefined = exchanges[0]?.status;
  void status;
  const verdicts: Verdict[] = await session.verdicts();
  void verdicts.map(({ severity }) => severity satisfies "error" | "warning");
  await session.verify({ clean: true }).catch((error: unknown) => {
    if (error instanceof VerificationError) error.problems satisfies string[];
    if (error instanceof EmulatorError) error.problems[0]?.line satisfies number | undefined;
  });

  // @ts-expect-error: a scenario is no number
  await session.push(7);
  // @ts-expect-error: no such option
  await testSession(t, { scenarios: "weather.yaml" });
  // @ts-expect-error: no such outcome
  await session.journal({ outcome: "answered" });
  // @ts-expect-error: not what a test function gets
  await testSession({ name: "a test" });
});

const emulator: Emulator = await startEmulator(start);
emulator.session("p", { location: "europe-west4" }).baseURL satisfies string;
emulator.share();
await emulator.stop();

const vertex: Session = useVertex({ emulator });
vertex.environment() satisfies Record<string, string>;
const teardown: () => Promise<void> = await setup();
void [teardown, globalSetup, globalTeardown];
