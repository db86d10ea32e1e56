// The rules of a session: uses, limits, expectations, flags, quotas, and what is wrong with the last edit.
import { html, useEffect, useState } from './vendor/htm-preact.js';
import { getJson } from './state.js';
import { useLoaded, useStore, Badge, Failure } from './parts.js';

let chosen = null; // null until the user or the page has chosen a project

export function RulesView() {
  const { rulesVersion, rows } = useStore();
  const [session, setSession] = useState(chosen ?? '');
  // Uses change with every exchange; a second is often enough to look.
  const [tick, setTick] = useState(0);
  const newest = rows.at(-1)?.position ?? 0;
  useEffect(() => {
    const timer = setTimeout(() => setTick(newest), 500);
    return () => clearTimeout(timer);
  }, [newest]);
  const { value, error } = useLoaded(() => getJson(`inspector/rules?session=${encodeURIComponent(session)}`), [session, rulesVersion, tick]);
  const choose = (name) => {
    chosen = name;
    setSession(name);
  };
  useEffect(() => {
    if (chosen === null && value?.sessions.length === 1) choose(value.sessions[0]);
  }, [value]);
  return html`<section class="rules-view" aria-labelledby="rules">
    <h1 id="rules">Rules</h1>
    <${Failure} text=${error} />
    ${value && html`<${Shown} value=${value} session=${session} choose=${choose} />`}
  </section>`;
}

function Shown({ value, session, choose }) {
  const never = value.rules.filter((rule) => !rule.uses).length;
  const unmet = value.rules.filter((rule) => ['unmet', 'over'].includes(expectation(rule))).length;
  return html`
    ${value.problems.length > 0 && html`<div class="problems" role="alert"><h2>The last edit is broken; the last good rules stay in use</h2>
      <pre class="code" tabindex="0" aria-label="Problems">${value.problems.join('\n\n')}</pre></div>`}
    <div class="filters"><label><span>Project</span>
      <select name="session" value=${session} onChange=${(event) => choose(event.target.value)}>
        <option value="">all that share the server's rules</option>
        ${value.sessions.map((name) => html`<option value=${name} key=${name}>${name}</option>`)}</select></label>
      <p>${value.pushed ? 'A scenario pushed for this project' : value.scenarios.map((name) => `“${name}”`).join(', ')}: ${value.rules.length === 1 ? '1 rule' : `${value.rules.length} rules`}${never ? `, ${never} never used` : ''}${unmet ? `, ${unmet} not as expected` : ''}.</p></div>
    ${session && html`<p class="flags">Flags set: ${value.flags.length ? value.flags.map((name) => html`<${Badge} kind="token">${name}<//> `) : 'none'}</p>`}
    <${Quotas} quotas=${value.quotas} session=${session} />
    <ol class="rule-list">${value.rules.map((rule) => html`<${RuleCard} rule=${rule} key=${rule.place} />`)}</ol>
    ${!value.rules.length && html`<p>There are no rules.</p>`}`;
}

function expectation(rule) {
  if (!rule.expect) return '';
  const wanted = Number(rule.expect.match(/\d+/)[0]);
  if (rule.uses < wanted) return 'unmet';
  return rule.uses > wanted && rule.expect.startsWith('exactly') ? 'over' : 'met';
}

function RuleCard({ rule }) {
  const met = expectation(rule);
  return html`<li class=${rule.uses ? 'rule-card' : 'rule-card unused'}>
    <div class="title"><b>${rule.name}</b> <small>${rule.place}</small></div>
    <div class="when">${rule.when.length ? rule.when.map((one) => html`<span><b>${one.field}</b> ${one.wanted}</span>`) : html`<span>every request</span>`}</div>
    <div class="numbers">
      ${rule.uses ? html`<span>${rule.uses === 1 ? 'used once' : `used ${rule.uses.toLocaleString('en')} times`}</span>` : html`<${Badge} kind="unused">never used<//>`}
      ${rule.used_up ? html`<${Badge} kind="miss">used up<//>` : rule.left !== null && html`<span>${rule.left} of ${rule.limit} left</span>`}
      ${rule.limit !== null && rule.left === null && html`<span>at most ${rule.limit} for a project</span>`}
      ${rule.kind === 'sequence' && html`<span class="sequence" aria-label=${`sequence of ${rule.replies}, next ${rule.next ?? 'unknown'}`}>${Array.from({ length: Math.min(rule.replies, 12) }, (_, index) =>
          html`<i class=${rule.next === null ? '' : index + 1 < rule.next ? 'past' : index + 1 === rule.next ? 'next' : ''}></i>`)}
        ${rule.next === null ? `sequence of ${rule.replies}` : `next: reply ${rule.next} of ${rule.replies}`}</span>`}
      ${rule.kind === 'conversation' && html`<span>conversation, ${rule.replies} answers</span>`}
      ${rule.expect && html`<${Badge} kind=${met === 'met' ? 'answer' : 'scripted'}>expects ${rule.expect}${met === 'met' ? '' : met === 'over' ? ', was used too often' : ', not yet'}<//>`}
      ${rule.requires && html`<span>requires ${rule.requires}</span>`}
      ${rule.sets && html`<span>sets ${rule.sets}</span>`}
    </div>
  </li>`;
}

function Quotas({ quotas, session }) {
  if (!quotas.length) return null;
  return html`<section aria-labelledby="quotas"><h2 id="quotas">Quotas</h2>
    ${quotas.map((quota) => html`<div class="quota"><p><b>per ${quota.per}</b> <small>${quota.place}, beyond it ${quota.on_excess}</small></p>
      ${quota.accounts.length ? quota.accounts.map((account) => html`<${Gauges} quota=${quota} account=${account} />`)
        : html`<p>${session || quota.per === 'server' ? 'Nobody has used it yet: it is full.' : 'Choose a project to see what is left.'}</p>`}</div>`)}</section>`;
}

function Gauges({ quota, account }) {
  const gauges = [
    ['requests', account.requests_left, quota.requests_per_minute],
    ['tokens', account.tokens_left, quota.tokens_per_minute],
    ['places at once', quota.concurrent === null ? null : quota.concurrent - (account.in_hand ?? 0), quota.concurrent],
  ].filter(([, left, of]) => of !== null && of !== undefined && left !== null && left !== undefined);
  return html`<div class="gauges">${account.model && html`<span>${account.model}</span>`}
    ${gauges.map(([name, left, of]) => html`<label>${Math.floor(left).toLocaleString('en')} of ${of.toLocaleString('en')} ${name} left
      <meter min="0" max=${of} low=${of / 4} value=${Math.max(0, left)}></meter></label>`)}
    ${account.waiting > 0 && html`<span>${account.waiting} waiting</span>`}</div>`;
}
