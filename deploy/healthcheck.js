// HEALTHCHECK of the image, which has no curl: exits with 0 when /healthz answers. It asks where BPF2KAFKA_HTTP says, so
// set the address there and not with --http; with `off` there is nothing to ask, so disable the check as well.
import { get } from 'node:http';

const { BPF2KAFKA_HTTP: address = '' } = process.env;
// Who listens on every address answers on loopback.
const place = (address || '127.0.0.1:8080').replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
const url = URL.parse(`http://${place}/healthz`);
if (url === null) end(1, `BPF2KAFKA_HTTP is not HOST:PORT: ${address}`);

get(url, { timeout: 4_000 }, (response) => {
  response.resume();
  response.on('end', () => end(response.statusCode === 200 ? 0 : 1, `${url} answers ${response.statusCode}`));
})
  .on('timeout', () => end(1, `${url} does not answer`))
  .on('error', (error) => end(1, `${url}: ${error.message}`));

function end(code, message) {
  console.log(message);
  process.exit(code);
}
