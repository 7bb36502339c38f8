import { byId, clockTime, element, number, rate, setText } from './dom.js';
import { escapeText } from './escape.js';

/** The busiest sources of packets, `ADDRESS:PORT => :PORT | COUNT`, and what came in on each interface. */
export function showPackets(packets) {
  if (packets === null) {
    setText('packets-since', 'not counted');
    return;
  }
  const { leaders, rows, beyond, until, interfaces, interface_count, attached, flows, flow_capacity } = packets;
  const several = interfaces.length > 1;
  const most = leaders[0]?.packets ?? 1;
  byId('leaders').replaceChildren(...leaders.map((leader) => leaderRow(leader, most, several)));
  setText('packets-since', until === 0 ? 'none yet' : `until ${clockTime(until)}`);
  const left = rows - leaders.length;
  const rest = [];
  if (left > 0) rest.push(`showing ${number(leaders.length)} of ${number(rows)} rows`);
  if (beyond > 0) rest.push(`${number(beyond)} packets are in rows that made room for busier ones`);
  rest.push(`${number(flows)} keys in this interval, room for ${number(flow_capacity)}`);
  setText('leaders-rest', rest.join('; '));
  byId('interfaces').replaceChildren(...interfaces.map(interfaceRow));
  const more = interface_count - interfaces.length;
  const names = attached.map(escapeText).join(', ');
  setText(
    'interface-note',
    `counted on now: ${names || 'none'}${more > 0 ? `; ${number(more)} more had packets` : ''}`,
  );
}

function leaderRow({ text, interface_name, packets, packets_per_second, complete }, most, several) {
  const bar = element('span', 'bar');
  bar.style.width = `${Math.max(0.5, (100 * packets) / most)}%`;
  const where = several ? [element('span', 'muted', ` ${escapeText(interface_name)}`)] : [];
  return element(
    'tr',
    '',
    element('td', '', escapeText(text), ...where, bar),
    element('td', '', complete ? number(packets) : `≥ ${number(packets)}`),
    element('td', '', rate(packets_per_second)),
  );
}

function interfaceRow({ interface_name, interface_kind, packets, packets_per_second, traffic_classes }) {
  const classes = Object.entries(traffic_classes).map(([name, count]) => `${name} ${number(count)}`);
  return element(
    'tr',
    '',
    element('td', '', escapeText(interface_name), element('span', 'muted', ` ${escapeText(interface_kind)}`)),
    element('td', '', number(packets)),
    element('td', '', rate(packets_per_second)),
    element('td', '', classes.join(', ')),
  );
}
