// The global setup of Vitest, of Jest and of Node's test runner: one server for the whole run.
import { startEmulator } from "./index.mjs";

let emulator;

export async function globalSetup() {
  emulator = await startEmulator();
  emulator.share();
}

export async function globalTeardown() {
  await emulator?.stop();
}

// Vitest calls what is returned at the end; for Jest the server ends with its process.
export default async function setup() {
  await globalSetup();
  return globalTeardown;
}
