// Compose a request, send it, and watch its chunks arrive.
import { html, useState, useMemo, useRef } from './vendor/htm-preact.js';
import { getJson, send, state } from './state.js';
import { useLoaded, useStore, shownMs, Failure, ExchangeLink, Badge } from './parts.js';

const WEATHER = [{ type: 'function', function: { name: 'get_weather', description: 'The weather of a city', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }];
const EXAMPLE = JSON.stringify(WEATHER, null, 2);
const draft = {
  model: 'google/gemini-3.5-flash', project: '', location: 'global', system: '', messages: [{ role: 'user', content: 'Hello' }], tools: '', choice: '',
  stream: true, usage: false, thinking: '', thoughts: false, temperature: '', max: '', json: null, path: '',
};

// Called by the view of an exchange: its request, to be changed and sent.
export function edit(request, path) {
  draft.json = typeof request === 'string' ? request : JSON.stringify(request, null, 2);
  draft.path = path;
}

function composeBody(card) {
  const messages = [...(draft.system ? [{ role: 'system', content: draft.system }] : []), ...draft.messages];
  const body = { model: draft.model, messages };
  if (draft.tools.trim()) body.tools = JSON.parse(draft.tools);
  if (draft.choice) body.tool_choice = draft.choice;
  if (draft.stream) body.stream = true;
  if (draft.stream && draft.usage) body.stream_options = { include_usage: true };
  if (draft.temperature !== '') body.temperature = Number(draft.temperature);
  if (draft.max !== '') body.max_tokens = Number(draft.max);
  const config = {};
  if (draft.thinking !== '') {
    if (/^-?\d+$/.test(draft.thinking)) config.thinking_budget = Number(draft.thinking);
    else config.thinking_level = draft.thinking;
  }
  if (draft.thoughts) config.include_thoughts = true;
  if (Object.keys(config).length) body.extra_body = { google: { thinking_config: config } };
  return body;
}

function levelsOf(card) {
  if (!card) return [['', 'as the model does by itself']];
  if (card.levels.length) return [['', 'as the model does by itself'], ...card.levels.map((level) => [level, level.toLowerCase()])];
  if (card.budget) return [['', 'as the model does by itself'], ['0', 'none (budget 0)'], ['1024', '1,024 tokens'], ['8192', '8,192 tokens'], ['-1', 'as much as it likes (budget -1)']];
  return [['', card.thinking ? 'as the model does by itself' : 'this model does not think']];
}

export function TryView() {
  useStore();
  const [, redraw] = useState(0);
  const { value: options, error } = useLoaded(() => getJson('inspector/options'), []);
  const [run, setRun] = useState(null);
  const abort = useRef(null);
  const set = (values) => {
    Object.assign(draft, values);
    redraw((n) => n + 1);
  };
  const card = options?.models.find((one) => one.id === draft.model);
  const levels = levelsOf(card);
  if (options && !levels.some(([value]) => value === draft.thinking)) draft.thinking = '';
  const project = draft.project || options?.project || 'demo';
  const path = draft.json !== null && draft.path ? draft.path : `/v1/projects/${encodeURIComponent(project)}/locations/${encodeURIComponent(draft.location)}/endpoints/openapi/chat/completions`;
  let body = draft.json;
  let problem = '';
  if (body === null) {
    try {
      body = JSON.stringify(composeBody(card), null, 2);
    } catch (failure) {
      body = '';
      problem = `The tools are no JSON: ${failure.message}`;
    }
  }
  const submit = async (event) => {
    event.preventDefault();
    const chunks = [];
    const before = state.rows.at(-1)?.position ?? 0;
    abort.current = new AbortController();
    setRun({ chunks, running: true, before });
    try {
      const answer = await send(path, body, (piece, ms, response) => {
        chunks.push({ piece, ms });
        setRun({ chunks, running: true, before, status: response.status });
      }, abort.current.signal);
      setRun({ chunks, before, status: answer.status, ms: answer.ms });
    } catch (failure) {
      setRun({ chunks, before, failure: failure.name === 'AbortError' ? 'You left before the end.' : `The answer broke off: ${failure.message}` });
    }
  };
  return html`<section class="try-view" aria-labelledby="try"><h1 id="try">Try it</h1>
    <${Failure} text=${error} />
    <div class="columns"><form onSubmit=${submit}>
      ${draft.json === null ? html`<${Fields} set=${set} options=${options} card=${card} levels=${levels} />`
        : html`<p class="notice">The body is edited as JSON, for <code>${path}</code>. <button type="button" class="quiet" onClick=${() => set({ json: null, path: '' })}>Back to the form</button></p>`}
      <label class="field"><span>Body that is sent</span>
        <textarea class="mono" name="body" rows=${draft.json === null ? 10 : 24} spellcheck="false" value=${body} readonly=${draft.json === null} onInput=${(event) => set({ json: event.target.value })}></textarea></label>
      ${draft.json === null && html`<button type="button" class="quiet" onClick=${() => set({ json: body, path: '' })}>Edit it as JSON</button>`}
      <${Failure} text=${problem} />
      <div class="actions"><button type="submit" class="main" disabled=${Boolean(problem) || run?.running}>Send</button>
        ${run?.running && html`<button type="button" onClick=${() => abort.current.abort()}>Leave before the end</button>`}</div>
    </form>
    <div><${Run} run=${run} project=${path.split('/')[3]} /></div></div>
  </section>`;
}

const Field = ({ label, hint, id, children }) => html`<div class="field"><label for=${id}>${label}</label>${children}<small id=${`${id}-hint`}>${hint}</small></div>`;

function Fields({ set, options, card, levels }) {
  const input = (name) => ({ id: name, name, value: draft[name], 'aria-describedby': `${name}-hint`, onInput: (event) => set({ [name]: event.target.value }) });
  const check = (name, label, hint, disabled = false) => html`<div class="field check"><label><input type="checkbox" name=${name} checked=${draft[name]} disabled=${disabled} aria-describedby=${`${name}-hint`} onChange=${(event) => set({ [name]: event.target.checked })} /> ${label}</label><small id=${`${name}-hint`}>${hint}</small></div>`;
  return html`
    <${Field} label="Model" id="model" hint=${card ? describeCard(card) : 'Not in the catalogue: it is answered with a warning, as far as its name tells what it can do.'}>
      <input ...${input('model')} list="models" required /><datalist id="models">${options?.models.map((one) => html`<option value=${one.id} />`)}</datalist><//>
    <div class="pair">
      <${Field} label="Project" id="project" hint="The session: its counters, flags and quotas are its own."><input ...${input('project')} placeholder=${options?.project ?? 'demo'} /><//>
      <${Field} label="Location" id="location" hint="Part of the URL; rules may ask for it."><input ...${input('location')} required /><//></div>
    <${Field} label="System message" id="system" hint="Instructions that stand before the conversation; left out if empty."><textarea rows="2" ...${input('system')}></textarea><//>
    <fieldset><legend>Messages</legend>
      ${draft.messages.map((message, index) => html`<div class="message">
        <select aria-label=${`Role of message ${index + 1}`} value=${message.role} onChange=${(event) => { message.role = event.target.value; set({}); }}>${['user', 'assistant'].map((role) => html`<option value=${role}>${role}</option>`)}</select>
        <textarea rows="2" aria-label=${`Text of message ${index + 1}`} value=${message.content} onInput=${(event) => { message.content = event.target.value; set({}); }}></textarea>
        ${draft.messages.length > 1 && html`<button type="button" class="quiet" aria-label=${`Remove message ${index + 1}`} onClick=${() => set({ messages: draft.messages.filter((one) => one !== message) })}>✕</button>`}</div>`)}
      <button type="button" class="quiet" onClick=${() => set({ messages: [...draft.messages, { role: draft.messages.at(-1).role === 'user' ? 'assistant' : 'user', content: '' }] })}>Add a message</button>
      <small>The turns so far; conversation rules look at all of them.</small></fieldset>
    <${Field} label="Tools" id="tools" hint=${html`Functions that the model may call, a JSON list; empty for none. <button type="button" class="quiet" onClick=${() => set({ tools: EXAMPLE })}>Put in an example</button>`}><textarea class="mono" rows=${draft.tools ? 6 : 1} spellcheck="false" ...${input('tools')}></textarea><//>
    <div class="pair">
      <${Field} label="Tool choice" id="choice" hint="Whether the model may, must or must not call a tool."><select ...${input('choice')}>${[['', 'not given'], ['auto', 'auto'], ['required', 'required'], ['none', 'none']].map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select><//>
      <${Field} label="Thinking" id="thinking" hint="How much the model thinks first: a level from Gemini 3 on, a budget of tokens before."><select ...${input('thinking')}>${levels.map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select><//>
      <${Field} label="Temperature" id="temperature" hint="0 to 2: how free the choice of words is. Answers here do not depend on it; rules may."><input type="number" min="0" max="2" step="0.1" ...${input('temperature')} /><//>
      <${Field} label="Most tokens" id="max" hint="max_tokens: the answer is cut there, with the finish reason length."><input type="number" min="1" ...${input('max')} /><//></div>
    ${check('stream', 'Stream', 'The answer comes in chunks, at the pace of its rule, instead of as a whole.')}
    ${check('usage', 'Usage in the stream', 'include_usage: the last chunk counts the tokens.', !draft.stream)}
    ${check('thoughts', 'Show thoughts', 'include_thoughts: what the model thinks is part of the answer, marked as such.')}`;
}

const describeCard = (card) => [card.retired && 'Retired: answered with a warning.', card.thinking ? 'Thinks.' : 'Does not think.', card.media.length ? `Takes text, ${card.media.join(', ')}.` : 'Takes text.'].filter(Boolean).join(' ');

function Run({ run, project }) {
  const text = useMemo(() => (run ? joinText(run.chunks.map((one) => one.piece).join('')) : ''), [run]);
  if (!run) return html`<p class="placeholder">The answer appears here, chunk by chunk.</p>`;
  const row = !run.running && state.rows.findLast((one) => one.position > run.before && encodeURIComponent(one.session) === project);
  return html`<div class="run"><h2>Answer</h2>
    <p role="status">${run.running ? 'Arriving …' : run.failure ?? html`<${Badge} kind=${run.status >= 400 ? 'miss' : 'answer'}>${run.status}<//> complete after ${shownMs(run.ms)}.`}
      ${row && html` It is exchange <${ExchangeLink} number=${row.number} />.`}</p>
    ${text && html`<p class="text answer-text">${text}</p>`}
    <ol class="chunks">${run.chunks.slice(0, 500).map((one) => html`<li><span class="ms">${shownMs(one.ms)}</span><pre tabindex="0" aria-label="Chunk">${one.piece.length > 3000 ? `${one.piece.slice(0, 3000)}…` : one.piece}</pre></li>`)}</ol></div>`;
}

// The text of an answer so far, plain or streamed.
function joinText(body) {
  const pieces = [];
  const read = (one) => {
    const choice = one?.choices?.[0];
    const said = choice?.delta ?? choice?.message ?? {};
    if (typeof said.content === 'string') pieces.push(said.content);
    for (const call of said.tool_calls ?? []) pieces.push(call.function?.name ? `${call.function.name}(${call.function.arguments ?? ''})` : (call.function?.arguments ?? ''));
  };
  const parse = (text) => {
    try {
      read(JSON.parse(text));
    } catch {}
  };
  if (body.startsWith('data:')) for (const line of body.split('\n')) line.startsWith('data: ') && parse(line.slice(6));
  else parse(body);
  return pieces.join('');
}
