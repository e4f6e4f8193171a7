/** What an SCL registers here, over every binding: itself, how it is reached, its devices, what it announces; and groups of what is here. */
import { formatTime } from '../../src/clock.js';
import { ManualClock } from '../support/manual-clock.js';
import { ask, clientOf, closeStage, http, startBroker, until } from './stage.js';

afterEach(closeStage);

const GSCL = { scl: { sclId: 'gscl-7', link: 'coap://gscl-7.example/m2m', mgmtProtocolType: 'OMA DM' } };

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  test('a GSCL registers, says where it is, brings devices and announcements, and goes with all of it', async () => {
    const gscl = await clientOf(await startBroker(), binding);
    expect(await ask(gscl, 'create', '/m2m/scls', GSCL)).toMatchObject({
      status: 'STATUS_CREATED',
      location: '/m2m/scls/gscl-7',
    });
    expect(await ask(gscl, 'create', '/m2m/scls', GSCL)).toMatchObject({ status: 'STATUS_CONFLICT' });
    const read = async () => (await ask(gscl, 'retrieve', '/m2m/scls/gscl-7')).json;
    expect(await read()).toMatchObject({
      scl: {
        ...{ onlineStatus: 'OFFLINE', serverCapability: false, pocs: { reference: [] } },
        m2mPocsReference: '/m2m/scls/gscl-7/m2mPocs',
        attachedDevicesReference: '/m2m/scls/gscl-7/attachedDevices',
      },
    });
    const m2mPoc = { id: 'lan', contactInfo: { contactURI: 'coap://[::1]' } };
    const poc = await ask(gscl, 'create', '/m2m/scls/gscl-7/m2mPocs', { m2mPoc });
    expect(await read()).toMatchObject({ scl: { onlineStatus: 'ONLINE', serverCapability: true } });
    await ask(gscl, 'update', poc.location, { m2mPoc: { ...m2mPoc, id: undefined, onlineStatus: 'NOT_REACHABLE' } });
    expect(await read()).toMatchObject({ scl: { onlineStatus: 'NOT_REACHABLE' } });

    const device = await ask(gscl, 'create', '/m2m/scls/gscl-7/attachedDevices', { attachedDevice: { id: 'meter-1' } });
    expect((await ask(gscl, 'retrieve', device.location)).json).toMatchObject({ attachedDevice: { id: 'meter-1' } });
    const link = '/gscl/applications/meter-1';
    const searchStrings = { searchString: ['meter'] };
    const annc = await ask(gscl, 'create', '/m2m/scls/gscl-7/applications', {
      applicationAnnc: { id: 'meter-1Annc', link, searchStrings },
    });
    const moved = await ask(gscl, 'update', annc.location, { applicationAnnc: { searchStrings, link: '/elsewhere' } });
    expect(moved.sentence).toContain('applicationAnnc.link must not be in this UPDATE');
    expect((await ask(gscl, 'retrieve', '/m2m/scls/gscl-7/applications')).json).toMatchObject({
      applications: {
        applicationCollection: { namedReference: [] },
        applicationAnncCollection: { namedReference: [{ id: 'meter-1Annc', reference: annc.location }] },
      },
    });
    const application = await ask(gscl, 'create', '/m2m/scls/gscl-7/applications', { application: {} });
    expect(application.status).toBe('STATUS_FORBIDDEN');

    expect((await ask(gscl, 'delete', '/m2m/scls/gscl-7')).status).toBe('STATUS_OK');
    for (const path of [annc.location, device.location, poc.location])
      expect((await ask(gscl, 'retrieve', path)).status).toBe('STATUS_NOT_FOUND');
  });

  test('who watches a registered SCL hears how it can be reached', async () => {
    const running = await startBroker();
    const gscl = await clientOf(running, 'http');
    await ask(gscl, 'create', '/m2m/scls', GSCL);
    const watcher = await clientOf(running, binding);
    const heard: unknown[] = [];
    const watching = (async () => {
      for await (const { body } of watcher.observe('/m2m/scls/gscl-7', { accept: 'application/json' })) {
        const { scl } = JSON.parse(Buffer.from(body).toString()) as { scl: { onlineStatus: string } };
        heard.push(scl.onlineStatus);
        if (heard.at(-1) === 'ONLINE') return;
      }
    })();
    await until('somebody watches', () => [...running.broker.subscriptions.accounts()].length === 1);
    await ask(gscl, 'create', '/m2m/scls/gscl-7/m2mPocs', {
      m2mPoc: { contactInfo: { contactURI: 'coap://[::1]' } },
    });
    await watching;
    expect(heard.at(-1)).toBe('ONLINE');
  });

  test('a group shows who belongs to it, and ends itself when it is to hold what it must not', async () => {
    const operator = await clientOf(await startBroker(), binding);
    for (const appId of ['a', 'b']) await ask(operator, 'create', '/m2m/applications', { application: { appId } });
    const members = (...ids: string[]) => ({ members: { reference: ids.map((id) => `/m2m/applications/${id}`) } });
    const { location } = await ask(operator, 'create', '/m2m/groups', {
      group: { id: 'all', memberType: 'APPLICATION', consistencyStrategy: 'ABANDON_GROUP', ...members('a', 'b', 'a') },
    });
    expect((await ask(operator, 'retrieve', location)).json).toMatchObject({
      group: { currentNrOfMembers: 2, memberTypeValidated: true, ...members('a', 'b') },
    });
    const wrong = await ask(operator, 'update', location, {
      group: { consistencyStrategy: 'ABANDON_GROUP', ...members('a', 'c') },
    });
    expect(wrong).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
    expect(wrong.sentence).toContain('"/m2m/applications/c" is no resource here');
    expect((await ask(operator, 'retrieve', location)).status).toBe('STATUS_NOT_FOUND');
  });

  test('a locationContainer is a container of an application', async () => {
    const phone = await clientOf(await startBroker(), binding);
    await ask(phone, 'create', '/m2m/applications', { application: { appId: 'phone' } });
    const locationContainer = { id: 'place', locationContainerType: 'APPLICATION_GENERATED' };
    const below = await ask(phone, 'create', '/m2m/containers', { locationContainer });
    expect(below.status).toBe('STATUS_FORBIDDEN');
    const { location } = await ask(phone, 'create', '/m2m/applications/phone/containers', { locationContainer });
    const where = { contentInstance: { content: { contentType: 'application/json', textContent: '{"lat":57.64}' } } };
    expect((await ask(phone, 'create', location, where)).status).toBe('STATUS_CREATED');
    expect((await ask(phone, 'retrieve', `${location}/contentInstances/latest/content`)).json).toEqual({ lat: 57.64 });
  });
});

test('a registration ends with its lease, a point of contact before it', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock });
  const inMinutes = (minutes: number): string => formatTime(clock.wallUs() + minutes * 60e6);
  await http(running, 'POST', '/m2m/scls', { scl: { ...GSCL.scl, expirationTime: inMinutes(30) } });
  await http(running, 'POST', '/m2m/scls/gscl-7/m2mPocs', {
    m2mPoc: { contactInfo: { contactURI: 'coap://[::1]' }, expirationTime: inMinutes(10) },
  });
  const onlineStatus = async () => (await http(running, 'GET', '/m2m/scls/gscl-7/onlineStatus')).json;
  expect(await onlineStatus()).toEqual({ onlineStatus: 'ONLINE' });
  clock.advance(11 * 60_000);
  expect(await onlineStatus()).toEqual({ onlineStatus: 'OFFLINE' });
  clock.advance(20 * 60_000);
  expect((await http(running, 'GET', '/m2m/scls/gscl-7')).status).toBe(404);
});
