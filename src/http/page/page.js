import { byId, setText } from './dom.js';
import { showExecs } from './execs.js';
import { showPackets } from './leaderboard.js';
import { showRates } from './rates.js';
import { showStatus } from './status.js';

/** The whole state comes with each message of `events`; docs/page.md has its fields. */

/** Where the browser gives up by itself, milliseconds. */
const tryAgainAfter = 5_000;

const { search } = location;
byId('json-link').href = `json${search}`;

function connect() {
  // The first message has the newest execs; those behind it have what came since.
  let isFirst = true;
  const events = new EventSource(`events${search}`);
  events.addEventListener('open', () => {
    isFirst = true;
    setText('connection', '');
  });
  events.addEventListener('state', ({ data }) => {
    const state = JSON.parse(data);
    showStatus(state);
    showRates(state.rates);
    showPackets(state.packets);
    showExecs(state.execs, isFirst);
    isFirst = false;
  });
  events.addEventListener('error', () => {
    showLost();
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, tryAgainAfter);
  });
}

function showLost() {
  byId('readiness').className = 'pill bad';
  setText('readiness', 'no connection');
  setText('connection', 'trying again; what is shown is of the time before');
}

connect();
