import { byId, clockTime, rate, setText } from './dom.js';

/** Rates of the last ten minutes; uPlot stands beside as a script of its own. */

const { uPlot } = globalThis;
const height = 150;
const dark = matchMedia('(prefers-color-scheme: dark)');

let charts = [];
let newest;

export function showRates(rates) {
  newest = rates;
  if (charts.length === 0) draw();
  for (const { chart, names } of charts) chart.setData(dataOf(rates, names));
  setText('execs-now', nowOf(rates.execs));
  setText('packets-now', nowOf(rates.packets));
}

/** The newest second that is known. */
function nowOf(counts) {
  const known = counts.findLast((count) => count !== null);
  return known === undefined ? '' : rate(known);
}

function dataOf(rates, names) {
  return [rates.seconds, ...names.map((name) => rates[name])];
}

function draw() {
  for (const { chart } of charts) chart.destroy();
  charts = [
    chartIn('exec-chart', [
      // What stands last is drawn on top.
      ['exits', '--second'],
      ['execs', '--accent'],
    ]),
    chartIn('packet-chart', [['packets', '--accent']]),
  ];
}

function chartIn(id, series) {
  const place = byId(id);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: color('--muted'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
  const options = {
    width: place.clientWidth,
    height,
    cursor: { y: false, drag: { x: false, y: false } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((second) => clockTime(second * 1_000)), space: 90, size: 28 },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((value) => rate(value)) },
    ],
    scales: { y: { range: (_, _least, most) => [0, Math.max(1, most)] } },
    series: [
      { label: 'time', value: (_, second) => (second === null ? '' : clockTime(second * 1_000)) },
      ...series.map(([label, name]) => ({
        label,
        stroke: color(name),
        width: 1.5,
        points: { show: false },
        value: (_, count) => (count === null ? '' : rate(count)),
      })),
    ],
  };
  const names = series.map(([name]) => name);
  return { place, names, chart: new uPlot(options, dataOf(newest, names), place) };
}

new ResizeObserver(() => {
  for (const { chart, place } of charts) {
    if (chart.width !== place.clientWidth) chart.setSize({ width: place.clientWidth, height });
  }
}).observe(document.querySelector('main'));
// Colours are drawn, not styled.
dark.addEventListener('change', () => newest && draw());
