/** A daemon whose CoAP socket throws whenever something is to be sent: what no restart can mend. Ends as `serve` says. */
import { loadConfig } from '../../src/config.js';
import { isRefusal } from '../../src/errors.js';
import { serve } from '../../src/main.js';
import { systemNetwork, type Network } from '../../src/network.js';

const { bindUdp } = systemNetwork;
(systemNetwork as { bindUdp: Network['bindUdp'] }).bindUdp = async (...args) => {
  const socket = await bindUdp(...args);
  socket.batch.open = () => {
    throw new Error('injected');
  };
  return socket;
};

const loaded = loadConfig({ flags: { http: '0', coap: '0', logLevel: 'fatal' }, environment: {} });
if (isRefusal(loaded)) throw new Error(loaded.detail);
const daemon = await serve(loaded.config);
if (isRefusal(daemon)) throw new Error(daemon.detail);
process.stdout.write(`${daemon.listening.find(({ protocol }) => protocol === 'coap')?.authority}\n`);
process.exit(await daemon.closed);
