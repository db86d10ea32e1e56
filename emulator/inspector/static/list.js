// The live list of exchanges: filters, pause, clear, and only the rows that are in view in the document.
import { html, useState, useEffect, useRef, useMemo, useLayoutEffect } from './vendor/htm-preact.js';
import { BASE, state, setPaused, clearRows, completeRows } from './state.js';
import { useStore, exchangePath, navigate, shownMs, shownTime, kindOf, Badge, Failure } from './parts.js';

const narrow = matchMedia('(max-width: 760px)');
const OUTCOMES = ['answer', 'scripted', 'refusal', 'miss', 'error', 'token', 'unrouted'];
const NAMES = { scripted: 'scripted error', unrouted: 'no such path' };
const EXTRA = 8; // rows above and below the view

// Kept while other views are shown.
const filters = { text: '', project: '', outcome: '', rule: '', model: '' };
let kept = { top: 0, selected: null };

function fits(row) {
  if (filters.project && row.session !== filters.project) return false;
  if (filters.outcome && kindOf(row) !== filters.outcome) return false;
  if (filters.rule && row.rule !== filters.rule) return false;
  if (filters.model && row.model !== filters.model) return false;
  if (!filters.text) return true;
  row.haystack ??= row.brief
    ? undefined
    : [`#${row.number}`, row.session, row.model, row.asked, row.answered, row.rule, row.refusal, row.status].join('\n').toLowerCase();
  return (row.haystack ?? `#${row.number}\n${row.session}\n${row.rule}`.toLowerCase()).includes(filters.text.toLowerCase());
}

function choices(rows) {
  const found = { project: new Set(), rule: new Set(), model: new Set() };
  for (const row of rows) {
    if (row.session) found.project.add(row.session);
    if (row.rule) found.rule.add(row.rule);
    if (row.model) found.model.add(row.model);
  }
  return Object.fromEntries(Object.entries(found).map(([key, set]) => [key, [...set].sort().slice(0, 500)]));
}

export function ExchangeList() {
  const { version, rows } = useStore();
  const [applied, apply] = useState(0);
  const fitting = useMemo(() => {
    const found = Object.values(filters).some(Boolean) ? rows.filter(fits) : rows.slice();
    return found.reverse();
  }, [version, applied]);
  const options = useMemo(() => choices(rows), [rows.length, rows]);
  const set = (name, value) => {
    filters[name] = value;
    apply((n) => n + 1);
  };
  return html`<section class="list-view" aria-label="Exchanges">
    <h1 class="hidden">Exchanges</h1>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label class="grow"><span>Text</span>
        <input type="search" id="search" value=${filters.text} placeholder="words, rule, #number …" onInput=${(event) => set('text', event.target.value)} /></label>
      <${Choice} label="Project" name="project" options=${options.project} set=${set} />
      <${Choice} label="Outcome" name="outcome" options=${OUTCOMES} set=${set} />
      <${Choice} label="Rule" name="rule" options=${options.rule} set=${set} />
      <${Choice} label="Model" name="model" options=${options.model} set=${set} />
      <div class="actions">
        <button type="button" aria-pressed=${state.paused} onClick=${() => setPaused(!state.paused)}>
          ${state.paused ? `Resume (${state.waiting.length} new)` : 'Pause'}</button>
        <${ClearButton} />
      </div>
    </form>
    <p class="count" role="status">${describeCount(fitting.length, rows.length)}</p>
    <${Rows} rows=${fitting} />
  </section>`;
}

function describeCount(fitting, all) {
  const shown = fitting === all ? all === 1 ? '1 exchange' : `${all.toLocaleString('en')} exchanges` : `${fitting.toLocaleString('en')} of ${all.toLocaleString('en')} exchanges`;
  return state.missed ? `${shown}; ${state.missed.toLocaleString('en')} more left the journal before the page could read them` : shown;
}

const Choice = ({ label, name, options, set }) => html`<label><span>${label}</span>
  <select name=${name} value=${filters[name]} onChange=${(event) => set(name, event.target.value)}>
    <option value="">all</option>
    ${[...new Set([...options, ...(filters[name] ? [filters[name]] : [])])].map((one) => html`<option value=${one} key=${one}>${NAMES[one] ?? one}</option>`)}
  </select></label>`;

function ClearButton() {
  const dialog = useRef(null);
  const [failure, fail] = useState('');
  const close = () => dialog.current.close();
  const reset = async () => {
    const query = filters.project ? `?session=${encodeURIComponent(filters.project)}` : '';
    const answer = await fetch(`${BASE}/reset${query}`, { method: 'POST' });
    if (!answer.ok) return fail(`the server answers ${answer.status}`);
    clearRows(filters.project);
    close();
  };
  const what = filters.project ? `project ${filters.project}` : 'all projects';
  return html`<button type="button" onClick=${() => dialog.current.showModal()}>Clear …</button>
    <dialog ref=${dialog} aria-label="Clear exchanges">
      <p>Clear what this page shows of ${what}, or also reset the server: counters, flags, quotas, pushed scenarios and the journal?</p>
      <${Failure} text=${failure} />
      <div class="actions">
        <button type="button" onClick=${() => { clearRows(filters.project); close(); }}>Clear the list</button>
        <button type="button" class="danger" onClick=${reset}>Reset the server</button>
        <button type="button" class="quiet" onClick=${close}>Cancel</button>
      </div>
    </dialog>`;
}

function Rows({ rows }) {
  const height = narrow.matches ? 84 : 34;
  const box = useRef(null);
  const [view, setView] = useState({ top: kept.top, height: 600 });
  const before = useRef({ rows, top: kept.top });
  const read = () => {
    const { scrollTop, clientHeight } = box.current;
    kept.top = scrollTop;
    setView((old) => (old.top === scrollTop && old.height === clientHeight ? old : { top: scrollTop, height: clientHeight }));
  };
  useLayoutEffect(() => {
    box.current.scrollTop = kept.top;
    read();
    const observer = new ResizeObserver(read);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  // New rows come in at the top; what is being read stays where it is.
  useLayoutEffect(() => {
    const old = before.current.rows;
    if (old !== rows && old.length && box.current.scrollTop > height) {
      const added = rows.indexOf(old[0]);
      if (added > 0) box.current.scrollTop += added * height;
    }
    before.current = { rows };
  }, [rows]);
  const first = Math.max(0, Math.floor(view.top / height) - EXTRA);
  const shown = rows.slice(first, Math.ceil((view.top + view.height) / height) + EXTRA);
  useEffect(() => {
    const timer = setTimeout(() => completeRows(shown), 150);
    return () => clearTimeout(timer);
  }, [first, shown.length, state.version]);
  const move = (event) => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!step || !rows.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const at = rows.findIndex((row) => row.number === kept.selected);
    const index = Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step));
    kept.selected = rows[index].number;
    const y = index * height;
    if (y < box.current.scrollTop) box.current.scrollTop = y;
    if (y + height > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = y + height - box.current.clientHeight;
    read();
    requestAnimationFrame(() => box.current?.querySelector(`[data-number="${kept.selected}"]`)?.focus());
  };
  if (!rows.length) {
    return html`<div class="rows empty" ref=${box} tabindex="0" aria-label="Exchanges">
      <p>${state.rows.length ? 'No exchange fits these filters.' : 'Nothing has been asked yet. Requests appear here as they are answered.'}</p></div>`;
  }
  return html`<div class="row head" aria-hidden="true">
      <span>#</span><span>time</span><span>project</span><span>model</span><span>asked</span><span>answered</span><span>rule or outcome</span>
      <span class="end">status</span><span class="end">tokens</span><span class="end">time taken</span><span>ended</span></div>
    <div class="rows" ref=${box} onScroll=${read} onKeyDown=${move} tabindex="0" role="list" aria-label="Exchanges, newest first">
      <div class="spacer" role="presentation" style=${{ height: `${rows.length * height}px` }}>
        ${shown.map((row, index) => html`<${Row} key=${row.number} row=${row} top=${(first + index) * height} height=${height} position=${first + index + 1} total=${rows.length} />`)}
      </div>
    </div>`;
}

function Row({ row, top, height, position, total }) {
  const kind = kindOf(row);
  return html`<div role="listitem" aria-setsize=${total} aria-posinset=${position} class="item" style=${{ top: `${top}px`, height: `${height}px` }}>
    <a class=${`row ${kind}`} href=${exchangePath(row.number)} data-number=${row.number} onFocus=${() => { kept.selected = row.number; }}>
      <span class="number">${row.number}</span>
      <span class="time">${shownTime(row.time)}</span>
      <span class="project">${row.session}</span>
      <span class="model" title=${row.model}>${row.model?.replace(/^google\//, '')}</span>
      <span class="asked">${row.asked}</span>
      <span class="answered">${row.answered}</span>
      <span class="rule"><${Badge} kind=${kind}>${row.rule ?? row.refusal ?? row.outcome}<//></span>
      <span class="status end">${row.status}</span>
      <span class="tokens end">${row.tokens ? `${row.tokens[0]}+${row.tokens[1]}` : ''}</span>
      <span class="ms end">${shownMs(row.ms)}</span>
      <span class="ended">${row.ended === 'complete' ? '' : row.ended}</span>
    </a></div>`;
}

addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key === '/' && !typing) {
    const search = document.getElementById('search');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
  if (event.key === 'Escape' && !typing && /\/exchanges\/\d+$/.test(location.pathname) && !document.querySelector('dialog[open]')) navigate(`${BASE}/`);
});
