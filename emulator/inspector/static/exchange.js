// One exchange: conversation, timeline, why this rule, refusal, verdicts, and what was sent byte for byte.
import { html, useState } from './vendor/htm-preact.js';
import { BASE, getJson, send, state } from './state.js';
import { useLoaded, useStore, exchangePath, navigate, shownMs, Badge, Failure, CopyButtons, ExchangeLink, Json, kindOf } from './parts.js';
import { Timeline } from './timeline.js';
import { edit } from './try.js';

export function ExchangeView({ number }) {
  useStore();
  const { value: one, error } = useLoaded(() => getJson(`inspector/exchanges/${number}`), [number]);
  const row = state.byNumber.get(number);
  const at = state.rows.indexOf(row);
  const next = at < 0 ? null : state.rows[at + 1];
  const previous = at < 0 ? null : state.rows[at - 1];
  return html`<article class="exchange" aria-label=${`Exchange ${number}`}>
    <nav class="steps" aria-label="Exchanges">
      <a href=${`${BASE}/`}>← All exchanges</a>
      ${previous && html`<a href=${exchangePath(previous.number)}>Previous, #${previous.number}</a>`}
      ${next && html`<a href=${exchangePath(next.number)}>Next, #${next.number}</a>`}
    </nav>
    <${Failure} text=${error} />
    ${error && row && html`<p>It was <${Badge} kind=${kindOf(row)}>${row.rule ?? row.outcome}<//> ${row.status}: “${row.asked}” → “${row.answered}”</p>`}
    ${one && (one.conversation ? html`<${Shown} key=${number} one=${one} />` : one.outcome === 'unrouted' ? html`<${UnroutedRequest} one=${one} />` : html`<${TokenRequest} one=${one} />`)}
  </article>`;
}

function Summary({ one }) {
  const { row } = one;
  const usage = one.usage;
  const facts = [
    ['Project', row.session],
    ['Model', row.model || '–'],
    ['Rule', one.rule ? html`${one.rule}<small>${one.place}${one.reply > 1 ? `, reply ${one.reply}` : ''}</small>` : '–'],
    ['Tokens', usage ? html`${usage.prompt_tokens} + ${usage.total_tokens - usage.prompt_tokens}<small>${describeUsage(usage)}</small>` : '–'],
    one.cost && ['Would cost', html`$${one.cost.usd.toPrecision(3)}<small>at $${one.cost.input} and $${one.cost.output} for a million tokens in and out (${one.cost.date})</small>`],
    ['Took', html`${shownMs(one.duration_ms)}<small>${one.ended === 'complete' ? `complete, ${one.sent_bytes} bytes` : `${one.ended} after ${one.sent_bytes} bytes`}</small>`],
    ['Began', html`${new Date(one.time).toLocaleTimeString([], { hour12: false })}<small>${one.time}</small>`],
  ].filter(Boolean);
  return html`<header>
    <h1>#${one.number} <${Badge} kind=${kindOf(row)}>${one.rule ?? one.refusal?.name ?? one.outcome}<//> <span class="status">${one.status}</span></h1>
    <p class="path">POST ${one.host ? `${one.host}` : ''}${one.path}</p>
    <dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${[...one.warnings.map((text) => `Warning: ${text}`), ...(one.ignored.length ? [`Ignored, because Vertex does not document it: ${one.ignored.join(', ')}`] : [])].map(
      (text) => html`<p class="notice">${text}</p>`,
    )}
  </header>`;
}

function describeUsage(usage) {
  const thoughts = usage.completion_tokens_details?.reasoning_tokens;
  const cached = usage.prompt_tokens_details?.cached_tokens;
  return [`asked and answered`, thoughts && `${thoughts} of thoughts`, cached && `${cached} cached`].filter(Boolean).join(', ');
}

function Shown({ one }) {
  return html`<${Summary} one=${one} />
    <${CopyButtons} number=${one.number}><${SendAgain} one=${one} /><//>
    <div class="columns">
      <div>
        <section aria-labelledby="conversation"><h2 id="conversation">Conversation</h2>
          ${one.conversation.map((turn) => html`<${Turn} turn=${turn} />`)}
          ${!one.conversation.length && html`<p>The body has no messages.</p>`}</section>
      </div>
      <div>
        ${one.refusal && html`<${Refusal} one=${one} />`}
        <section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2><${Timeline} drawn=${one.drawn} /></section>
        <section aria-labelledby="why"><h2 id="why">Why this ${one.rule ? 'rule' : 'outcome'}</h2><${Why} why=${one.why} /></section>
        <${Verdicts} one=${one} />
      </div>
    </div>
    <section aria-labelledby="raw"><h2 id="raw">As it was sent</h2>
      <details open=${Boolean(one.refusal?.place)}><summary>Request</summary><${RawText} value=${one.request} mark=${one.refusal?.place} label="Request" /></details>
      <details><summary>Answer, ${one.answer.length === 1 ? '1 frame' : `${one.answer.length} frames`}</summary><${RawAnswer} frames=${one.answer} /></details>
      <details><summary>Headers</summary>
        <${Headers} title="Request; those with credentials are not kept" headers=${one.request_headers} />
        <${Headers} title="Answer" headers=${one.answer_headers} /></details>
    </section>`;
}

function SendAgain({ one }) {
  const [sent, set] = useState(null);
  const again = async () => {
    set({ message: 'Sending …' });
    const before = state.rows.at(-1)?.position ?? 0;
    try {
      const answer = await send(one.path, typeof one.request === 'string' ? one.request : JSON.stringify(one.request));
      set({ message: `Answered with ${answer.status} in ${shownMs(answer.ms)}.`, before });
    } catch (error) {
      set({ message: `The answer broke off: ${error.message}.`, before });
    }
  };
  const row = sent?.before !== undefined && state.rows.findLast((one_) => one_.position > sent.before && one_.session === one.session);
  return html`<div class="actions">
    <button type="button" class="main" onClick=${again}>Send again</button>
    <button type="button" onClick=${() => { edit(one.request, one.path); navigate(`${BASE}/try`); }}>Edit and send</button>
    <span role="status">${sent?.message} ${row && html`See <${ExchangeLink} number=${row.number} />.`}</span>
  </div>`;
}

const ROLES = { system: 'System', developer: 'Developer', user: 'User', assistant: 'Assistant', model: 'Assistant', tool: 'Tool', function: 'Tool', error: 'Error' };
export function Turn({ turn }) {
  return html`<div class=${`turn ${turn.role} ${turn.is_answer ? 'answer' : ''}`}>
    <h3>${ROLES[turn.role] ?? turn.role}${turn.is_answer && html` <small>the answer${turn.finish ? `, finish ${turn.finish}` : ''}</small>`}</h3>
    ${turn.parts.map((part) => html`<${Part} part=${part} />`)}
  </div>`;
}

const SHOWN_TEXT = 4000;
function Text({ text, kind = '' }) {
  const [whole, show] = useState(false);
  const cut = !whole && text.length > SHOWN_TEXT;
  return html`<p class=${`text ${kind}`}>${cut ? `${text.slice(0, SHOWN_TEXT)}…` : text}</p>
    ${cut && html`<button type="button" class="quiet" onClick=${() => show(true)}>Show all ${text.length.toLocaleString('en')} characters</button>`}`;
}

function Part({ part }) {
  if ('text' in part) return html`<${Text} text=${part.text} />`;
  if ('thought' in part) return html`<details class="thought" open><summary>Thought</summary><${Text} text=${part.thought} /></details>`;
  if ('call' in part) {
    return html`<div class="call"><p><b>${part.call}</b> called <small>${part.id ?? ''}</small></p>
      <${RawText} value=${part.arguments} label=${`Arguments of ${part.call}`} /></div>`;
  }
  if ('result' in part) {
    return html`<div class="result"><p>Result ${part.name ? html`of <b>${part.name}</b>` : ''} <small>${part.id ?? ''}</small></p><${Text} text=${part.result} kind="mono" /></div>`;
  }
  if ('image' in part) return html`<img src=${part.image} alt="Picture in the conversation" />`;
  if ('audio' in part) return html`<audio controls src=${part.audio} aria-label="Sound in the conversation"></audio>`;
  if ('video' in part) return html`<video controls src=${part.video} aria-label="Video in the conversation"></video>`;
  return html`<p class="file">📎 ${part.file}</p>`;
}

function RawText({ value, mark, label }) {
  if (typeof value === 'string') return html`<pre class="code" tabindex="0" aria-label=${label}>${value || '(empty)'}</pre>`;
  return html`<${Json} value=${value} mark=${mark} label=${label} />`;
}

function RawAnswer({ frames }) {
  const [whole, show] = useState(false);
  const text = frames.join('');
  let shown = text;
  if (frames.length === 1) {
    try {
      return html`<${Json} value=${JSON.parse(text)} label="Answer" />`;
    } catch {}
  }
  if (!whole) shown = text.slice(0, 20_000);
  return html`<pre class="code" tabindex="0" aria-label="Answer">${shown}</pre>
    ${shown.length < text.length && html`<button type="button" class="quiet" onClick=${() => show(true)}>Show all of it</button>`}`;
}

const Headers = ({ title, headers }) => html`<h3>${title}</h3>
  <dl class="headers">${headers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}${!headers.length && html`<div><dt>none</dt></div>`}</dl>`;

function Refusal({ one }) {
  const { name, place, explanation } = one.refusal;
  return html`<section aria-labelledby="refusal" class="refused"><h2 id="refusal">Refusal</h2>
    <p><b>${name}</b>${explanation ? `: ${explanation}` : ''}</p>
    ${place && html`<p>In the request at <code>${place}</code>, marked below.</p>`}</section>`;
}

function Why({ why }) {
  return html`<p>${why.sentence}</p>
    ${why.rules.map(
      (rule) => html`<details class="rule" open=${why.rules.length < 4 || rule.answered}>
        <summary><span class=${rule.answered ? 'yes' : 'no'}>${rule.answered ? '✓' : '✗'}</span> <b>${rule.name}</b> <small>${rule.place}</small>
          ${rule.used_up && html` <${Badge} kind="miss">used up<//>`}</summary>
        ${rule.conditions.length
          ? html`<table class="compare"><thead><tr><th>condition</th><th>wanted</th><th>got</th></tr></thead>
              <tbody>${rule.conditions.map(
                (one) => html`<tr class=${one.holds ? 'holds' : 'fails'}>
                    <th scope="row"><span aria-hidden="true">${one.holds ? '✓' : '✗'}</span> ${one.field}<span class="hidden">${one.holds ? ' holds' : ' does not hold'}</span></th>
                    <td>${one.wanted}</td><td>${one.got}</td></tr>
                  ${one.details.length > 0 && html`<tr class="details"><td colspan="3"><pre tabindex="0" aria-label="Turn by turn">${one.details.join('\n')}</pre></td></tr>`}`,
              )}</tbody></table>`
          : html`<p>It holds for every request.</p>`}
      </details>`,
    )}`;
}

function Verdicts({ one }) {
  const { value } = useLoaded(() => getJson(`inspector/clients?session=${encodeURIComponent(one.session)}`), [one.number]);
  const found = value?.verdicts.filter((verdict) => verdict.exchanges.includes(one.number)) ?? [];
  if (!found.length) return null;
  return html`<section aria-labelledby="verdicts"><h2 id="verdicts">What the client did wrong</h2>
    ${found.map((verdict) => html`<${Verdict} verdict=${verdict} />`)}</section>`;
}

export const Verdict = ({ verdict }) => html`<div class=${`verdict ${verdict.severity}`}>
  <p><${Badge} kind=${verdict.severity === 'error' ? 'miss' : 'scripted'}>${verdict.severity}<//> <b>${verdict.name}</b>
    ${verdict.session && html` <small>project ${verdict.session}</small>`}</p>
  <p>${verdict.sentence}</p><p class="advice">Instead: ${verdict.advice}</p>
  <p>Evidence: ${verdict.exchanges.map((number, index) => html`${index > 0 && ', '}<${ExchangeLink} number=${number} />`)}</p></div>`;

const UnroutedRequest = ({ one }) => html`<header><h1>#${one.number} <${Badge} kind="unrouted">${one.leak ? 'not emulated' : 'no such path'}<//> ${one.status}</h1>
    <p class="path">${one.method} ${one.host ?? ''}${one.path}</p><p>${one.row.answered}</p>
    ${one.nearest_url && html`<p>Probably meant: <code>${one.nearest_url}</code></p>`}</header>`;

const TokenRequest = ({ one }) => html`<header><h1>#${one.number} <${Badge} kind=${one.outcome}>${one.refusal?.name ?? 'token'}<//> ${one.status}</h1>
    <p class="path">${one.path}</p><p>${one.account ? `For ${one.account}. ` : ''}${one.refusal?.explanation ?? 'A token was given out.'}</p></header>
  <section><h2>Request</h2><${Json} value=${one.request} label="Request" /></section>
  <section><h2>Answer</h2><${Json} value=${one.answer} label="Answer" /></section>`;
