// The timeline of an answer, drawn: head and frames as planned above, as sent below, and what struck on the way.
import { html, useState } from './vendor/htm-preact.js';
import { useWidth, shownMs } from './parts.js';

const LEFT = 64; // pixels for the names of the lanes
const PLANNED = 40;
const SENT = 74;
const HEIGHT = 118;
const MOST_MARKS = 400; // frames that are drawn one by one

export function Timeline({ drawn }) {
  const [ref, width] = useWidth();
  const [chosen, choose] = useState(null);
  const frames = drawn.frames;
  const total = Math.max(1, drawn.end_ms, drawn.total_ms, ...frames.slice(-1).map((frame) => Math.max(frame.ms, frame.sent_ms ?? 0)));
  const x = (ms) => LEFT + (ms / total) * Math.max(50, width - LEFT - 16);
  const step = Math.max(1, Math.ceil(frames.length / MOST_MARKS));
  const marks = frames.map((frame, index) => ({ ...frame, index })).filter((frame) => frame.index % step === 0);
  const pauses = drawn.notes.filter((note) => note.until !== undefined);
  const faults = drawn.notes.filter((note) => note.is_fault);
  const sentCount = frames.filter((frame) => frame.sent_ms !== null).length;
  const summary = `${frames.length === 1 ? '1 frame' : `${frames.length} frames`} planned, ${sentCount} sent, ${shownMs(drawn.total_ms)} in all`;
  return html`<div class="timeline" ref=${ref}>
    <svg width=${width} height=${HEIGHT} role="img" aria-label=${`Timeline: ${summary}`}>
      ${pauses.map((note) => html`<g class="pause"><rect x=${x(note.ms)} y=${PLANNED - 16} width=${Math.max(1, x(note.until) - x(note.ms))} height=${SENT - PLANNED + 32} rx="3" />
        ${x(note.until) - x(note.ms) > 70 && html`<text x=${(x(note.ms) + x(note.until)) / 2} y=${PLANNED - 20} text-anchor="middle">${note.text}</text>`}</g>`)}
      <text x="0" y=${PLANNED + 4}>planned</text><text x="0" y=${SENT + 4}>sent</text>
      <line class="lane" x1=${LEFT} x2=${x(total)} y1=${PLANNED} y2=${PLANNED} />
      <line class="lane" x1=${LEFT} x2=${x(total)} y1=${SENT} y2=${SENT} />
      ${drawn.head_ms !== null && html`<path class="headmark" d=${`M${x(drawn.head_ms)} ${PLANNED - 11}v22`} />`}
      ${marks.map((frame) => html`<g>
        ${frame.sent_ms !== null && html`<line class="link" x1=${x(frame.ms)} y1=${PLANNED} x2=${x(frame.sent_ms)} y2=${SENT} />`}
        <circle class=${`planned ${frame.sent_ms === null ? 'unsent' : ''}`} cx=${x(frame.ms)} cy=${PLANNED} r="4" onClick=${() => choose(frame)}><title>${`frame ${frame.index + 1}, ${shownMs(frame.ms)}: ${frame.text}`}</title></circle>
        ${frame.sent_ms !== null && html`<circle class="sent" cx=${x(frame.sent_ms)} cy=${SENT} r="4" onClick=${() => choose(frame)} />`}</g>`)}
      ${faults.map((note) => html`<path class="fault" d=${`M${x(note.ms)} ${PLANNED - 16}v${SENT - PLANNED + 32}`} />`)}
      <line class="axis" x1=${LEFT} x2=${x(total)} y1=${HEIGHT - 20} y2=${HEIGHT - 20} />
      ${ticks(total, width).map((ms) => html`<g><line class="axis" x1=${x(ms)} x2=${x(ms)} y1=${HEIGHT - 20} y2=${HEIGHT - 15} />
        <text class="tick" x=${x(ms)} y=${HEIGHT - 3} text-anchor="middle">${shownMs(ms)}</text></g>`)}
    </svg>
    <p class="legend">${summary}; head ${drawn.head_ms === null ? 'never sent' : `at ${shownMs(drawn.head_ms)}`}.</p>
    ${chosen && html`<p class="chosen">Frame ${chosen.index + 1}, planned ${shownMs(chosen.ms)}, sent ${shownMs(chosen.sent_ms)}: <code>${chosen.text}</code></p>`}
    ${drawn.notes.length > 0 && html`<ul class="notes">${drawn.notes.map((note) => html`<li class=${note.is_fault ? 'fault' : note.is_quirk ? 'quirk' : ''}>${note.is_quirk ? '' : `${shownMs(note.ms)}: `}${note.text}</li>`)}</ul>`}
    ${frames.length > 1 && html`<details><summary>Frames as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Frames"><table><thead><tr><th>frame</th><th>planned</th><th>sent</th><th>bytes</th><th>begins with</th></tr></thead>
        <tbody>${frames.slice(0, MOST_MARKS).map((frame, index) => html`<tr><td>${index + 1}</td><td>${shownMs(frame.ms)}</td><td>${shownMs(frame.sent_ms)}</td><td>${frame.bytes}</td><td class="mono">${frame.text}</td></tr>`)}</tbody></table></div></details>`}
  </div>`;
}

function ticks(total, width) {
  const most = Math.max(2, Math.floor(width / 110));
  const rough = total / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step);
}
