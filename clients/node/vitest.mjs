// For Vitest: `test` with the fixture `vertex`, a session for each test.
import { test as base } from "vitest";
import { testSession } from "./index.mjs";

export const test = base.extend({
  vertexOptions: {},
  vertex: async ({ vertexOptions, task, onTestFinished }, use) =>
    use(await testSession({ task, onTestFinished }, vertexOptions)),
});
