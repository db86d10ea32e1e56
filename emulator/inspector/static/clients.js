// What clients did wrong, the worst first, with the exchanges that show it.
import { html, useEffect, useState } from './vendor/htm-preact.js';
import { getJson } from './state.js';
import { useLoaded, useStore, Failure } from './parts.js';
import { Verdict } from './exchange.js';

const several = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

export function ClientsView() {
  const { rows } = useStore();
  const [session, setSession] = useState('');
  const [tick, setTick] = useState(0);
  const newest = rows.at(-1)?.position ?? 0;
  useEffect(() => {
    const timer = setTimeout(() => setTick(newest), 1000);
    return () => clearTimeout(timer);
  }, [newest]);
  const { value, error } = useLoaded(() => getJson(`inspector/clients?session=${encodeURIComponent(session)}`), [session, tick]);
  const names = [...new Set([...(value?.sessions ?? []), ...(session ? [session] : [])])];
  const count = (severity) => value.verdicts.filter((one) => one.severity === severity).length;
  return html`<section aria-labelledby="clients" class="clients-view"><h1 id="clients">Clients</h1>
    <${Failure} text=${error} />
    <div class="filters"><label><span>Project</span><select value=${session} onChange=${(event) => setSession(event.target.value)}>
      <option value="">all</option>${names.map((name) => html`<option value=${name} key=${name}>${name}</option>`)}</select></label>
      ${value && html`<p role="status">${value.verdicts.length ? `${several(count('error'), 'error')} and ${several(count('warning'), 'warning')}` : 'Nothing wrong'} in ${several(value.exchanges, 'exchange')}.</p>`}</div>
    ${value?.verdicts.map((verdict) => html`<${Verdict} verdict=${verdict} />`)}
  </section>`;
}
