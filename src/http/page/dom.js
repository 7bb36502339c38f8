/** Text goes into the page as text: nothing here makes markup of it. */

export const byId = (id) => document.getElementById(id);

/** An element with children, of which strings become text. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function setText(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

/** A row whose first cell is text, and the others figures. */
export function row(first, ...cells) {
  return element('tr', '', element('td', '', first), ...cells.map((cell) => element('td', '', cell)));
}

const grouped = new Intl.NumberFormat('en-US');

export function number(value) {
  return grouped.format(value);
}

/** With a digit behind the point where it matters. */
export function rate(value) {
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : number(Math.round(value));
}

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let shown = value;
  for (; shown >= 1024 && unit < units.length - 1; unit += 1) shown /= 1024;
  return `${unit === 0 || shown >= 100 ? Math.round(shown) : shown.toFixed(1)} ${units[unit]}`;
}

const pad = (value, width = 2) => String(value).padStart(width, '0');

/** `HH:MM:SS` here. */
export function clockTime(millis) {
  const time = new Date(millis);
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;
}

/** `YYYY-MM-DD HH:MM:SS` here. */
export function dateTime(millis) {
  const time = new Date(millis);
  return `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ${clockTime(millis)}`;
}

export function preciseTime(millis) {
  return `${clockTime(millis)}.${pad(new Date(millis).getMilliseconds(), 3)}`;
}
