/** The paths of one version of HubSpot's API. A name in braces stands for one path segment. */
export interface HubSpotVersion {
  recordingSettings: string;
  calls: string;
  /** Makes the default association. */
  defaultAssociation: string;
  /** Makes the association of type `{associationTypeId}`, which is named in the path or in the body. */
  association: string;
  associationTypeIn: 'path' | 'body';
  /** Type ids to use in place of `defaultAssociation`, by object type. */
  defaultTypeIds: Readonly<Record<string, number>>;
  ready: string;
  transcripts: string;
  token: string;
}

const association = '{callId}/associations/{objectType}/{objectId}';
const defaultAssociation = '{callId}/associations/default/{objectType}/{objectId}';

/** A version that is named by its date. The paths of such versions differ in the date only. */
function dated(date: string): HubSpotVersion {
  return {
    recordingSettings: `/crm/extensions/calling/${date}/{appId}/settings/recording`,
    calls: `/crm/objects/${date}/calls`,
    defaultAssociation: `/crm/objects/${date}/calls/${defaultAssociation}`,
    association: `/crm/objects/${date}/calls/${association}`,
    // HubSpot's page shows this request without a body; its specification requires one.
    associationTypeIn: 'body',
    defaultTypeIds: {},
    ready: `/crm/extensions/calling/${date}/recordings/ready`,
    transcripts: `/crm/extensions/calling/${date}/transcripts`,
    token: `/oauth/${date}/token`,
  };
}

/** The versions of HubSpot's API, newest first. The first is the default. To add a version, add its row. */
export const hubspotVersions = {
  '2026-03': dated('2026-03'),
  /** The paths in HubSpot's documentation of August 2025. */
  v3: {
    recordingSettings: '/crm/v3/extensions/calling/{appId}/settings/recording',
    calls: '/crm/v3/objects/calls',
    // v3 has no path for default associations, so this one is v4's.
    defaultAssociation: `/crm/v4/objects/calls/${defaultAssociation}`,
    association: `/crm/v3/objects/calls/${association}/{associationTypeId}`,
    associationTypeIn: 'path',
    defaultTypeIds: { contacts: 194, companies: 182, deals: 206, tickets: 220 },
    ready: '/crm/v3/extensions/calling/recordings/ready',
    transcripts: '/crm/v3/extensions/calling/transcripts',
    token: '/oauth/2026-03/token',
  },
} as const satisfies Record<string, HubSpotVersion>;

export type ApiVersion = keyof typeof hubspotVersions;
export const apiVersions = Object.keys(hubspotVersions) as ApiVersion[];
