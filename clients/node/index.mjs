// The helper for any test runner, as an ES module.
import client from "./index.cjs";

export const { Emulator, EmulatorError, Session, VerificationError, startEmulator, testSession } = client;
