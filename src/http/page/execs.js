import { byId, element, number, preciseTime, setText } from './dom.js';
import { escapeArgument, escapeText } from './escape.js';

/** Execs as they come, the newest first; a search looks through those that this page has. */

const kept = 2_000;
const listed = 300;

/** Newest first: what is searched, and how it is shown. */
let entries = [];
let paused = false;
let waiting = 0;

export function showExecs({ published, shown, with_argv, events }, isFirst) {
  byId('argv-note').hidden = with_argv;
  entries = [...events.map(entryOf).reverse(), ...(isFirst ? [] : entries)].slice(0, kept);
  waiting += published;
  if (paused) setText('pause', `go on (${number(waiting)} more)`);
  else list();
  setText('execs-shown', shownText(published, shown, isFirst));
}

function shownText(published, shown, isFirst) {
  if (isFirst) return shown === 0 ? 'none yet' : `the newest ${number(shown)}`;
  if (shown < published) return `showing ${number(shown)} of ${number(published)} execs this second`;
  return `${number(published)} this second`;
}

function entryOf(event) {
  const line = commandLine(event);
  const who = [
    escapeText(event.user_name ?? String(event.uid ?? '')),
    event.k8s_pod_name === null ? '' : escapeText(`${event.k8s_namespace}/${event.k8s_pod_name}`),
    event.k8s_pod_name === null && event.container_id !== null ? escapeText(event.container_id.slice(0, 12)) : '',
    event.parent_comm === null ? '' : `from ${escapeText(event.parent_comm)}`,
  ].filter((part) => part !== '');
  const failed = event.exec_result ? `failed: ${event.exec_result}` : '';
  const text = [event.pid, escapeText(event.comm), ...who, line, failed].join(' ').toLowerCase();
  return { event, line, who: who.join(' · '), failed, text };
}

/** Without the token there is none: the name of the program alone. */
function commandLine({ comm, args, filename }) {
  if (args?.length > 0) return args.map(escapeArgument).join(' ');
  return filename === undefined ? escapeText(comm) : escapeArgument(filename);
}

function list() {
  waiting = 0;
  const words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (const entry of entries) {
    if (!words.every((word) => entry.text.includes(word))) continue;
    entry.row ??= rowOf(entry);
    found.push(entry.row);
    if (found.length === listed) break;
  }
  byId('execs').replaceChildren(...found);
}

function rowOf({ event, line, who, failed }) {
  const what = element('span', 'line', line, ...(failed === '' ? [] : [element('span', 'failed', ` ${failed}`)]));
  return element(
    'li',
    '',
    element('time', 'who', preciseTime(event.event_time)),
    element('span', 'who', String(event.pid)),
    element('div', '', what, element('div', 'who', `${escapeText(event.comm)} · ${who}`)),
  );
}

byId('search').addEventListener('input', list);
byId('pause').addEventListener('click', () => {
  paused = !paused;
  byId('pause').setAttribute('aria-pressed', String(paused));
  setText('pause', paused ? 'go on' : 'pause');
  if (!paused) list();
});
