import type { TestAPI } from "vitest";
import type { Session, TestOptions } from "./index.cjs";

/** Vitest's `test` with a session for each test that asks for `vertex`; `test.extend({ vertexOptions: ... })` sets its options. */
export const test: TestAPI<{ vertexOptions: TestOptions; vertex: Session }>;
