// Small pieces that several views use.
import { html, useEffect, useState, useRef, useLayoutEffect } from './vendor/htm-preact.js';
import { BASE, state, subscribe, getText } from './state.js';

export function useStore() {
  const [, set] = useState(0);
  useEffect(() => {
    let frame = 0;
    const stop = subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        set((n) => n + 1);
      });
    });
    set((n) => n + 1);
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, []);
  return state;
}

export function useLoaded(load, keys) {
  const [result, set] = useState({});
  useEffect(() => {
    let current = true;
    load().then(
      (value) => current && set({ value }),
      (error) => current && set({ error: error.message, value: null }),
    );
    return () => {
      current = false;
    };
  }, keys);
  return result;
}

export function useWidth(initial = 600) {
  const ref = useRef(null);
  const [width, set] = useState(initial);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.round(entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

export function navigate(path) {
  history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
}
export const exchangePath = (number) => `${BASE}/exchanges/${number}`;
export const ExchangeLink = ({ number }) => html`<a href=${exchangePath(number)}>#${number}</a>`;

export const shownMs = (ms) =>
  ms == null ? '–' : ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms >= 100 ? `${Math.round(ms)} ms` : `${+ms.toFixed(1)} ms`;
export const shownTime = (moment) =>
  new Date(moment).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });

export const kindOf = (row) => (row.outcome === 'answer' ? (row.status >= 400 ? 'scripted' : 'answer') : row.outcome);
export const Badge = ({ kind, children }) => html`<span class=${`badge ${kind}`}>${children}</span>`;
export const Failure = ({ text }) => (text ? html`<p class="failure" role="alert">${text}</p>` : null);

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

const FORMS = [
  ['curl', 'curl'],
  ['python', 'openai-python'],
  ['rule', 'draft rule'],
  ['test', 'pytest test'],
];
export function CopyButtons({ number, children }) {
  const [shown, show] = useState(null);
  const copy = async (form, name) => {
    try {
      const text = await getText(`inspector/exchanges/${number}/${form}`);
      const copied = await copyText(text);
      show({ text, message: copied ? `Copied as ${name}.` : `Your browser keeps the clipboard closed; copy the ${name} below.` });
    } catch (error) {
      show({ failure: error.message });
    }
  };
  return html`<div class="bar"><div class="actions" role="group" aria-label="Copy as">
      <span class="label">Copy as</span>
      ${FORMS.map(([form, name]) => html`<button type="button" data-form=${form} onClick=${() => copy(form, name)}>${name}</button>`)}
    </div>${children}</div>
    <div role="status" class="copied">
      ${shown?.message}
      ${shown?.text &&
      html`<button type="button" class="quiet" onClick=${() => show(null)}>Hide</button>
        <pre class="code" id="copied-text" tabindex="0" aria-label="Copied text">${shown.text}</pre>`}
      <${Failure} text=${shown?.failure} />
    </div>`;
}

// JSON as lines of text; `mark` is the path of a value to mark, such as messages[1].content, `limit` the characters of a text.
export function Json({ value, mark, label }) {
  const [whole, setWhole] = useState(false);
  const lines = [];
  const cuts = { count: 0 };
  writeJson(lines, value, '', '', '', whole ? Infinity : 600, cuts);
  const shown = whole ? lines : lines.slice(0, 1500);
  const ref = useRef(null);
  const marked = mark ? nearest(lines, mark) : null;
  useEffect(() => {
    const line = ref.current?.querySelector('.marked');
    if (line) ref.current.scrollTop = line.offsetTop - ref.current.offsetTop - ref.current.clientHeight / 2;
  }, [marked]);
  return html`<pre class="code json" tabindex="0" aria-label=${label} ref=${ref}>${shown.map((line) =>
        line.path === marked && marked !== null
          ? html`<mark class="marked">${line.text}${'\n'}</mark>`
          : `${line.text}\n`,
      )}</pre>
    ${(shown.length < lines.length || cuts.count > 0) &&
    html`<button type="button" class="quiet" onClick=${() => setWhole(true)}>Show all of it</button>`}`;
}

function writeJson(lines, value, path, indent, key, limit, cuts, comma = '') {
  const lead = indent + key;
  if (Array.isArray(value) || (value && typeof value === 'object')) {
    const isList = Array.isArray(value);
    const entries = isList ? value.map((item, index) => [index, item]) : Object.entries(value);
    const [open, close] = isList ? '[]' : '{}';
    if (!entries.length) {
      lines.push({ text: `${lead}${open}${close}${comma}`, path });
      return;
    }
    lines.push({ text: `${lead}${open}`, path });
    for (const [index, [name, item]] of entries.entries()) {
      const inner = isList ? `${path}[${name}]` : path ? `${path}.${name}` : name;
      writeJson(lines, item, inner, `${indent}  `, isList ? '' : `${JSON.stringify(name)}: `, limit, cuts, index < entries.length - 1 ? ',' : '');
    }
    lines.push({ text: `${indent}${close}${comma}`, path: `${path} end` });
    return;
  }
  let text = JSON.stringify(value);
  if (text.length > limit) {
    cuts.count++;
    text = `${text.slice(0, limit)}… (${(text.length - limit).toLocaleString('en')} more characters)`;
  }
  lines.push({ text: lead + text + comma, path });
}

// The path of the innermost shown value that contains a place; null if there is none.
function nearest(lines, mark) {
  let place = mark.replace(/\[["']([^"'\]]*)["']\]/g, '.$1');
  const paths = new Set(lines.map((line) => line.path));
  while (place && !paths.has(place)) place = place.replace(/(\.[^.[\]]*|\[[^\]]*\]|^[^.[]+)$/, '');
  return place || null;
}
