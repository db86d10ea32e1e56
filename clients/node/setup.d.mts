/** The global setup of Vitest and Jest: starts one server, or uses the one that VERTEX_EMULATOR_URL names; returns what stops it. */
export default function setup(): Promise<() => Promise<void>>;
/** The same for `node --test --test-global-setup`. */
export function globalSetup(): Promise<void>;
export function globalTeardown(): Promise<void>;
