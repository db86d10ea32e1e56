// Loaded into every Node process before its program (NODE_OPTIONS=--require=...). Node's own clients do not heed HTTPS_PROXY, so
// connections to Google's hosts are led to the emulator here, below all of them. TLS keeps the host's name: it is still checked.
'use strict';

const address = process.env.VERTEX_EMULATOR_TLS_ADDR;

if (address) {
  const net = require('node:net');
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(colon + 1));
  const passed = (process.env.VERTEX_EMULATOR_PASSED_HOSTS || '').split(',').filter(Boolean);
  const isPassed = (name) =>
    passed.some((host) => (host.startsWith('*.') ? name.endsWith(host.slice(1)) : name === host));
  const hosts = new RegExp(
    process.env.VERTEX_EMULATOR_HOSTS || '(^|\\.)(googleapis\\.com|prediction\\.vertexai\\.goog)\\.?$',
    'i',
  );
  const isEmulated = (name, number) =>
    typeof name === 'string' &&
    hosts.test(name) &&
    !isPassed(name.toLowerCase().replace(/\.$/, '')) &&
    Number(number) === 443;

  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...given) {
    const normalized = Array.isArray(given[0]) ? given[0] : null; // Node's own modules pass [options, callback]
    const options = normalized ? normalized[0] : given[0];
    if (options && typeof options === 'object') {
      if (isEmulated(options.host, options.port)) {
        const moved = { ...options, host, port };
        delete moved.lookup;
        if (normalized) {
          normalized[0] = moved;
        } else {
          given[0] = moved;
        }
      }
    } else if (isEmulated(given[1], options)) {
      given[0] = port;
      given[1] = host;
    }
    return connect.apply(this, given);
  };
}
