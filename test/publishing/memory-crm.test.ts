import t from 'tap';
import { crmContract } from '../contracts/crm.ts';
import { MemoryCrm } from './memory-crm.ts';

crmContract(t, async () => {
  const crm = new MemoryCrm((accountId) => (accountId === 'nobody' ? undefined : accountId));
  return {
    crm,
    addCall() {
      const id = String(crm.calls.length + 1);
      crm.calls.push({ id, accountId: '', externalId: '', associations: [], ready: 0 });
      return id;
    },
    call(id) {
      const call = crm.calls.find((candidate) => candidate.id === id);
      return call && { associations: call.associations.length, ready: call.ready };
    },
    calls: () => crm.calls.length,
  };
});
