// What the page knows: rows of exchanges as they arrive, and the state of the connection.

export const BASE = '/__emulator__';
const MAX_ROWS = 50_000; // rows that the page keeps; the oldest are dropped

export const state = {
  rows: [], // as they ended, the oldest first
  byNumber: new Map(),
  waiting: [], // rows that came while the list is paused
  paused: false,
  missed: 0, // exchanges that left the journal before they could be read
  connected: false,
  trouble: '',
  rulesVersion: 0, // grows whenever the rules or their problems change
  problems: 0,
  version: 0, // grows with every change, for what is derived from it
};

const listeners = new Set();
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
export function changed() {
  state.version++;
  for (const listener of listeners) listener();
}

function add(rows) {
  for (const row of rows) {
    const known = state.byNumber.get(row.number);
    if (known) Object.assign(known, row);
    else {
      state.byNumber.set(row.number, row);
      state.rows.push(row);
    }
  }
  if (state.rows.length > MAX_ROWS) {
    for (const row of state.rows.splice(0, state.rows.length - MAX_ROWS)) state.byNumber.delete(row.number);
  }
}

export function setPaused(paused) {
  state.paused = paused;
  if (!paused) {
    add(state.waiting);
    state.waiting = [];
  }
  changed();
}

export function clearRows(project) {
  const keep = project ? (row) => row.session !== project : () => false;
  state.rows = state.rows.filter(keep);
  state.waiting = state.waiting.filter(keep);
  state.byNumber = new Map(state.rows.map((row) => [row.number, row]));
  state.missed = 0;
  changed();
}

export function connect() {
  let run = null;
  const source = new EventSource(`${BASE}/events`);
  const on = (name, handle) =>
    source.addEventListener(name, (event) => {
      handle(JSON.parse(event.data));
      changed();
    });
  on('hello', (data) => {
    // Another run of the server counts its exchanges from 1 again.
    if (run !== null && run !== data.run) clearRows();
    run = data.run;
    state.connected = true;
  });
  on('exchanges', ({ rows, missed }) => {
    state.missed += missed;
    if (state.paused) state.waiting.push(...rows);
    else add(rows);
  });
  on('rules', ({ problems }) => {
    state.rulesVersion++;
    state.problems = problems;
  });
  on('trouble', ({ message }) => {
    state.trouble = message;
  });
  source.onerror = () => {
    state.connected = false;
    changed();
  };
}

// The words of rows that came too fast to be read at once.
const asked = new Set();
export async function completeRows(rows) {
  const numbers = rows.filter((row) => row.brief && !asked.has(row.number)).map((row) => row.number);
  if (!numbers.length) return;
  numbers.forEach((number) => asked.add(number));
  const answer = await getJson(`inspector/rows?numbers=${numbers.join(',')}`).catch(() => ({ rows: [] }));
  for (const row of answer.rows) {
    const known = state.byNumber.get(row.number);
    if (known) Object.assign(known, row, { brief: false });
  }
  if (answer.rows.length) changed();
}

async function get(path) {
  const answer = await fetch(`${BASE}/${path}`);
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw new Error(body?.error?.message ?? `the server answers ${answer.status}`);
}
export const getJson = async (path) => (await get(path)).json();
export const getText = async (path) => (await get(path)).text();

let token = null;
// Sends a request to the emulated service; `onChunk` is called with each piece of the body and its time in ms.
export async function send(path, body, onChunk = () => {}, signal) {
  if (token === null) token = (await (await fetch(`${BASE}/inspector/token`, { method: 'POST' })).json()).token;
  const began = performance.now();
  const answer = await fetch(path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
  if (answer.status === 401) token = null;
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const piece = decoder.decode(value, { stream: true });
    text += piece;
    onChunk(piece, performance.now() - began, answer);
  }
  return { status: answer.status, text, ms: performance.now() - began };
}
