// The same package for a program of CommonJS.
import { startEmulator, testSession } from "vertex-openai-emulator";
import { useVertex } from "vertex-openai-emulator/jest";

startEmulator({ startTimeout: 1000 }).then((emulator) => emulator.session().openai().baseURL satisfies string);
useVertex().push("rules: []\n") satisfies Promise<void>;
// @ts-expect-error: an option is missing its value
testSession(undefined);
