import type { Test } from 'tap';
import type { CallData, RecordedCall } from '../../src/crm/call.ts';
import type { Crm } from '../../src/crm/crm.ts';

/** The CRM under test. Account `acme` is connected and `nobody` is not. */
export interface CrmUnderTest {
  crm: Crm;
  /** A call that somebody logged by hand, without a recording. @returns its id */
  addCall(): string;
  /** The call as the CRM has it now. */
  call(id: string): { associations: number; ready: number } | undefined;
  /** How many calls the CRM has. */
  calls(): number;
}

const contact = { objectType: 'contacts', objectId: '104901', associationTypeId: 194 };

/** What every implementation of `Crm` and `Portal` must do. */
export function crmContract(t: Test, open: (t: Test) => Promise<CrmUnderTest>): void {
  t.test('a call is logged, found, associated and marked ready', async (t) => {
    const { crm, call } = await open(t);
    const portal = await crm.portalFor('acme');
    const recorded = recordedCall('call-1');
    t.equal(await portal.findCall(recorded), undefined, 'is not found before it is logged');
    const id = await portal.logCall(recorded, async () => {});
    t.equal(await portal.findCall(recorded), id);
    for (let time = 0; time < 2; time++) {
      await portal.associate(id, contact);
      await portal.markReady(id);
    }
    t.same(call(id), { associations: 1, ready: 2 }, 'both are safe to repeat');
  });

  t.test('a call is found only by its external id together with its account', async (t) => {
    const { crm } = await open(t);
    const portal = await crm.portalFor('acme');
    await portal.logCall(recordedCall('call-1'), async () => {});
    t.equal(await portal.findCall(recordedCall('call-2')), undefined);
    t.equal(await portal.findCall({ ...recordedCall('call-1'), accountId: 'other' }), undefined);
  });

  t.test('nothing is sent if `begin` throws', async (t) => {
    const { crm, calls } = await open(t);
    const portal = await crm.portalFor('acme');
    const lost = new Error('The lease is lost.');
    await t.rejects(
      portal.logCall(recordedCall('call-1'), () => Promise.reject(lost)),
      lost,
    );
    t.equal(calls(), 0);
  });

  t.test('a named call is adopted once, and never by a second recording', async (t) => {
    const { crm, addCall, calls } = await open(t);
    const portal = await crm.portalFor('acme');
    const id = addCall();
    const first = recordedCall('call-1', { id });
    t.equal(await portal.adoptCall(first), id);
    t.equal(await portal.adoptCall(first), id, 'is safe to repeat');
    t.equal(await portal.findCall(first), id);
    await t.rejects(portal.adoptCall(recordedCall('call-2', { id })), {
      retriable: false,
      outcomeUnknown: false,
      message: /belongs to another recording/,
    });
    t.equal(calls(), 1);
  });

  const permanent = { retriable: false, outcomeUnknown: false, message: /\w/ };
  t.test('unknown accounts, calls, records and call data are not retriable', async (t) => {
    const { crm } = await open(t);
    const portal = await crm.portalFor('acme');
    const id = await portal.logCall(recordedCall('call-1'), async () => {});
    await t.rejects(crm.portalFor('nobody'), permanent);
    await t.rejects(portal.adoptCall(recordedCall('call-1', { id: '42' })), permanent);
    await t.rejects(portal.associate(id, { ...contact, objectId: 'nobody' }), permanent);
    await t.rejects(portal.markReady('42'), permanent);
    const wrong = recordedCall('call-1', { status: 'DONE' });
    t.throws(() => crm.check(wrong), permanent);
  });
}

function recordedCall(externalId: string, call: CallData = {}): RecordedCall {
  return { accountId: 'acme', externalId, direction: 'inbound', call, recordedAt: new Date(1755866400000) };
}
