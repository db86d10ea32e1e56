// The page: which view an address shows, the navigation, light and dark.
import { html, render, useEffect, useLayoutEffect, useState } from './vendor/htm-preact.js';
import { BASE, connect } from './state.js';
import { useStore, navigate } from './parts.js';
import { ExchangeList } from './list.js';
import { ExchangeView } from './exchange.js';
import { RulesView } from './rules.js';
import { TryView } from './try.js';
import { ClientsView } from './clients.js';

const TABS = [['', 'Exchanges'], ['rules', 'Rules'], ['try', 'Try it'], ['clients', 'Clients']];
const THEMES = { 'light dark': 'as the system', light: 'light', dark: 'dark' };

function viewOf(path) {
  const rest = path.slice(BASE.length).replace(/^\/|\/$/g, '');
  const number = rest.match(/^exchanges\/(\d+)$/);
  if (number) return { tab: '', title: `#${number[1]}`, view: html`<${ExchangeView} number=${Number(number[1])} />` };
  if (rest === 'rules') return { tab: 'rules', title: 'Rules', view: html`<${RulesView} />` };
  if (rest === 'try') return { tab: 'try', title: 'Try it', view: html`<${TryView} />` };
  if (rest === 'clients') return { tab: 'clients', title: 'Clients', view: html`<${ClientsView} />` };
  return { tab: '', title: 'Exchanges', view: html`<${ExchangeList} />` };
}

function ThemeChoice() {
  const [theme, set] = useState(localStorage.getItem('theme') ?? 'light dark');
  useLayoutEffect(() => {
    document.documentElement.style.colorScheme = theme;
    localStorage.setItem('theme', theme);
  }, [theme]);
  return html`<label class="theme"><span class="hidden">Colours</span><select value=${theme} onChange=${(event) => set(event.target.value)}>
    ${Object.entries(THEMES).map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select></label>`;
}

function App() {
  const [path, setPath] = useState(location.pathname);
  const { connected, trouble, problems } = useStore();
  useEffect(() => {
    const read = () => setPath(location.pathname);
    addEventListener('popstate', read);
    return () => removeEventListener('popstate', read);
  }, []);
  const { tab, title, view } = viewOf(path);
  useEffect(() => {
    document.title = `${title} – vertex-emulator`;
  }, [title]);
  return html`<a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <a class="brand" href=${`${BASE}/`}>vertex-emulator</a>
      <nav aria-label="Views">${TABS.map(([name, label]) => html`<a href=${`${BASE}/${name}`} aria-current=${name === tab ? 'page' : undefined}>${label}${name === 'rules' && problems > 0 && html` <span class="dot" title="The last edit is broken">!</span>`}</a>`)}</nav>
      <span class=${`live ${connected && !trouble ? 'on' : 'off'}`} role="status">${trouble ? 'store out of reach' : connected ? 'live' : 'not connected'}</span>
      <${ThemeChoice} />
    </header>
    <main id="main" tabindex="-1">${trouble && html`<p class="failure" role="alert">${trouble}</p>`}${view}</main>`;
}

// Links of the page are followed without loading it again.
addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || !link.pathname.startsWith(`${BASE}/`) || link.hash) return;
  event.preventDefault();
  navigate(link.pathname);
  scrollTo(0, 0);
});

connect();
render(html`<${App} />`, document.getElementById('app'));
