"use strict";
// For Jest: a session for each test of a file, by hooks.

const { TEST_OPTIONS, checkOptions, finishSession, openSession, startEmulator } = require("./index.cjs");

const START_TIMEOUT_MS = 60_000;

/** Open a session before each test, and verify and close it afterwards. What is returned is always the running test's session. */
function useVertex(options = {}) {
  checkOptions("useVertex", options, TEST_OPTIONS);
  const { afterAll, afterEach, beforeAll, beforeEach, expect } = require("@jest/globals");
  const { stack } = new Error();
  let emulator;
  let session;
  beforeAll(async () => {
    emulator = await (options.emulator ?? startEmulator());
  }, START_TIMEOUT_MS);
  beforeEach(async () => {
    const { currentTestName, testPath } = expect.getState();
    session = await openSession(emulator, currentTestName, testPath, options);
  });
  afterEach(async () => {
    const ended = session;
    session = undefined;
    if (ended) await finishSession(ended, options, stack, console.error);
  });
  afterAll(async () => {
    if (!options.emulator) await emulator?.stop();
  });
  return new Proxy(Object.create(null), {
    get(_, name) {
      if (session === undefined) throw new Error("the session of useVertex is there only while a test runs, in its hooks too");
      const value = session[name];
      return typeof value === "function" ? value.bind(session) : value;
    },
  });
}

module.exports = { useVertex };
