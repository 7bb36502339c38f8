import { byId, bytes, clockTime, dateTime, element, number, row, setText } from './dom.js';
import { escapeText } from './escape.js';

/** Who this is, what the ledger says, and how everything on the way stands. */
export function showStatus(state) {
  document.title = `${escapeText(state.host_name)}: bpf2kafka`;
  setText('host', escapeText(state.host_name));
  setText('version', `version ${state.version}`);
  setText('since', dateTime(state.since));
  const readiness = byId('readiness');
  readiness.className = `pill ${state.ready ? 'good' : 'bad'}`;
  setText('readiness', state.ready ? 'ready' : 'not ready');
  byId('reasons').replaceChildren(...state.reasons.map((reason) => element('li', '', escapeText(reason))));
  showBalance(state);
  byId('deliveries').replaceChildren(...state.deliveries.map(deliveryRow));
  byId('buffers').replaceChildren(...state.rings.map(ringRow), spoolRow(state.spool));
}

function showBalance({ ledger, attached_at }) {
  const since = dateTime(attached_at);
  const verdict = byId('verdict');
  const isGood = ledger.lost === 0 && ledger.unexplained === 0;
  verdict.className = `verdict ${ledger.streams.length === 0 ? '' : isGood ? 'good' : 'bad'}`;
  setText('verdict', verdictOf(ledger, since));
  setText('verdict-detail', detailOf(ledger));
  byId('streams').replaceChildren(...ledger.streams.map(streamRow));
}

function verdictOf({ streams, lost, unexplained }, since) {
  if (streams.length === 0) return 'The ledger has no entry yet';
  if (unexplained > 0) return `The account does not close: ${number(unexplained)} unexplained since ${since}`;
  return lost === 0 ? `Nothing lost since ${since}` : `${number(lost)} lost since ${since}, each counted`;
}

function detailOf({ streams }) {
  if (streams.length === 0) return '';
  const until = Math.max(...streams.map(({ interval_end }) => interval_end));
  const parts = [`as of the entries until ${clockTime(until)}`];
  const unobserved = Math.max(...streams.map(({ unobserved_micros }) => unobserved_micros));
  if (unobserved > 0) parts.push(`for ${number(Math.ceil(unobserved / 1e6))} s of that time nothing was captured`);
  return parts.join('; ');
}

function streamRow({ stream_name, seen, published, filtered, lost, pending }) {
  return row(
    escapeText(stream_name),
    number(seen),
    number(published),
    partsOf(filtered),
    element('span', sumOf(lost) > 0 ? 'bad' : '', partsOf(lost)),
    number(pending),
  );
}

const sumOf = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** The sum, and what it is made of. */
function partsOf(counts) {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  if (parts.length === 0) return '0';
  return `${number(sumOf(counts))} (${parts.map(([name, count]) => `${escapeText(name)} ${number(count)}`).join(', ')})`;
}

function deliveryRow({ topic, state, since, reason, records, retries, dead_letters }) {
  const away = state === 'retrying' || state === 'throttled';
  const told = away ? `${state} since ${clockTime(since)}${reason === null ? '' : `: ${escapeText(reason)}`}` : state;
  const shown = element('span', away ? 'bad' : '', told);
  return row(escapeText(topic), shown, number(records), number(retries), number(dead_letters));
}

function ringRow({ ring, used_bytes, capacity_bytes, high_water_bytes }) {
  return row(`ring ${ring}`, bytes(used_bytes), bytes(capacity_bytes), bytes(high_water_bytes));
}

function spoolRow({ state, records, bytes: used, capacity_bytes }) {
  const name = element('span', '', `spool: ${state}`, records > 0 ? `, ${number(records)} records` : '');
  return row(name, bytes(used), bytes(capacity_bytes), '');
}
