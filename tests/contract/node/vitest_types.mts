// The fixtures for Vitest, its context, and what OpenAI's client takes.
import OpenAI from "openai";
import { testSession } from "vertex-openai-emulator";
import type { Session } from "vertex-openai-emulator";
import { test as base } from "vertex-openai-emulator/vitest";
import { test as plain } from "vitest";

const test = base.extend({ vertexOptions: { scenario: "weather.yaml", strict: true } });

test("a fixture", async ({ vertex, expect }) => {
  vertex satisfies Session;
  new OpenAI(vertex.openai({ maxRetries: 0 })) satisfies OpenAI;
  expect(vertex.openai({ maxRetries: 1 }).maxRetries satisfies number).toBe(1);
});

plain("a context", async (context) => {
  (await testSession(context, { clean: true })) satisfies Session;
});

// @ts-expect-error: no such fixture
test("no fixture", async ({ vertx }) => vertx);
