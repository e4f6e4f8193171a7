/** libcoap's client shows tokens to a whole broker; its `-p` keeps the port that they are bound to. */
import { closeBrokers, startBroker } from '../support/broker.js';
import { API_KEY, Issuer } from '../support/tokens.js';
import { systemNetwork } from '../../src/network.js';
import { describeWith, hasLibcoap, libcoap } from './coap-capture.js';

afterEach(closeBrokers);

describeWith({ 'coap-client-notls': hasLibcoap }, 'libcoap’s client', () => {
  test('is let in from the port that its token came from, and from there alone', async () => {
    const issuer = new Issuer();
    const { coap } = await startBroker({ identity: issuer.identity() });
    const free = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
    const port = String(free.local.port);
    free.close();
    const read = async (...from: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await libcoap('-B', '2', ...from, `${coap}/m2m`);
      return stdout + stderr;
    };
    expect(await read('-p', port)).toMatch(/4\.01/);
    for (const wrong of ['wrong', issuer.token({ exp: 1 })]) {
      const { stdout, stderr } = await libcoap('-p', port, '-m', 'post', '-e', wrong, `${coap}/authz-info`);
      expect(stdout + stderr).toMatch(/4\.01/);
    }
    for (const token of [API_KEY, issuer.token()]) {
      await libcoap('-p', port, '-m', 'post', '-e', token, `${coap}/authz-info`);
      expect(await read('-p', port)).toContain('sclBase');
    }
    expect(await read()).toMatch(/4\.01/);
  }, 30_000);
});
