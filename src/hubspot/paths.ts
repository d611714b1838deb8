import { AssociationTypes } from '@hubspot/api-client';

export type ApiVersion = '2026-03' | 'v3';

/** What a call is associated with. Without a type id HubSpot's default association is made. */
export interface Association {
  /** In the plural, as HubSpot's paths have it: `contacts`, `companies`, `deals`, `tickets`, or `2-12345`. */
  objectType: string;
  objectId: string;
  associationTypeId?: number | undefined;
}

interface Paths {
  recordingSettings(appId: string): string;
  calls: string;
  ready: string;
  transcripts: string;
  /** Where an association is put, and the body that it takes there. */
  association(callId: string, to: Association): { path: string; body?: unknown };
}

/** The ids of HubSpot's default associations; `v3` has no path without one. */
const defaultTypes: Record<string, number> = {
  contacts: AssociationTypes.callToContact,
  companies: AssociationTypes.callToCompany,
  deals: AssociationTypes.callToDeal,
  tickets: AssociationTypes.callToTicket,
};

const segment = encodeURIComponent;

/** HubSpot's two generations of paths: `v3` as its page of August 2025 has them, `2026-03` as its newest. */
export const paths: Record<ApiVersion, Paths> = {
  '2026-03': {
    recordingSettings: (appId) => `/crm/extensions/calling/2026-03/${appId}/settings/recording`,
    calls: '/crm/objects/2026-03/calls',
    ready: '/crm/extensions/calling/2026-03/recordings/ready',
    transcripts: '/crm/extensions/calling/2026-03/transcripts',
    association(callId, { objectType, objectId, associationTypeId }) {
      const from = `/crm/objects/2026-03/calls/${segment(callId)}/associations`;
      const to = `${segment(objectType)}/${segment(objectId)}`;
      // HubSpot's page shows the second path without a body, which its specification requires.
      return associationTypeId === undefined
        ? { path: `${from}/default/${to}` }
        : { path: `${from}/${to}`, body: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId }] };
    },
  },
  v3: {
    recordingSettings: (appId) => `/crm/v3/extensions/calling/${appId}/settings/recording`,
    calls: '/crm/v3/objects/calls',
    ready: '/crm/v3/extensions/calling/recordings/ready',
    transcripts: '/crm/v3/extensions/calling/transcripts',
    association(callId, { objectType, objectId, associationTypeId = defaultTypes[objectType] }) {
      const to = `${segment(objectType)}/${segment(objectId)}`;
      return associationTypeId === undefined
        ? { path: `/crm/v4/objects/calls/${segment(callId)}/associations/default/${to}` }
        : { path: `/crm/v3/objects/calls/${segment(callId)}/associations/${to}/${associationTypeId}` };
    },
  },
};
