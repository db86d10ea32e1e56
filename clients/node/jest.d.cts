import type { Session, TestOptions } from "./index.cjs";

/** Open a session before each test of the file, and verify and close it afterwards; what is returned is the running test's. */
export function useVertex(options?: TestOptions): Session;
