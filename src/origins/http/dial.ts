import { lookup as lookUp } from 'node:dns/promises';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import type { buildConnector } from 'undici';
import { Problem } from '../../errors.ts';
import { reusingConnector } from './connector.ts';

/** Every address of a host name. */
export type Resolve = (hostname: string) => Promise<{ address: string; family: number }[]>;

const resolveAll: Resolve = (hostname) => lookUp(hostname, { all: true });

/**
 * Addresses that are not on the public Internet, by IANA's special-purpose registries (RFC 6890). In IPv6 these are
 * all addresses outside 2000::/3, and some inside it. Loopback, link-local, unique local, multicast, IPv4-mapped
 * and NAT64 addresses are outside it.
 *
 * IPv4 and IPv6 have a list each: a common one would reject every IPv4 address, because a BlockList also matches
 * its IPv4-mapped form.
 */
const notPublic = {
  ipv4: blockList('ipv4', [
    '0.0.0.0/8', // this host
    '10.0.0.0/8',
    '100.64.0.0/10', // behind a carrier's NAT
    '127.0.0.0/8',
    '168.63.129.16/32', // Azure's host: it issues credentials
    '169.254.0.0/16', // link-local; metadata services of most clouds
    '172.16.0.0/12',
    '192.0.0.0/24',
    '192.0.2.0/24', // documentation, like 198.51.100.0 and 203.0.113.0
    '192.88.99.0/24', // 6to4 relays
    '192.168.0.0/16',
    '198.18.0.0/15', // benchmarks
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4', // multicast
    '240.0.0.0/4', // reserved, and broadcast
  ]),
  ipv6: blockList('ipv6', [
    '::/3',
    '2001::/23', // Teredo among others
    '2001:db8::/32', // documentation, like 3fff::
    '2002::/16', // 6to4: leads to the IPv4 address inside
    '3fff::/20',
    '4000::/2',
    '8000::/1',
  ]),
};

function blockList(family: 'ipv4' | 'ipv6', networks: string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, prefix] = network.split('/');
    list.addSubnet(address!, Number(prefix), family);
  }
  return list;
}

export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return false; // an address with a zone is link-local
  return family === 4 ? !notPublic.ipv4.check(address) : !notPublic.ipv6.check(address, 'ipv6');
}

/**
 * Opens connections to public addresses only, except to hosts allowed by name. It checks the very addresses
 * that it then connects to: a name that is looked up twice, for the check and for the connection, can resolve
 * to another address the second time.
 *
 * The callback receives Problem `source_refused` for any other address.
 *
 * @param options.allowedHosts as in a URL, with the port unless it is the scheme's default
 */
export function publicConnector(options: {
  allowedHosts: ReadonlySet<string>;
  timeoutMs: number;
  resolve?: Resolve | undefined;
}): buildConnector.connector {
  const { allowedHosts, timeoutMs: timeout, resolve = resolveAll } = options;
  // With autoSelectFamily, a socket looks up all addresses at once and tries them in turn.
  const common = { allowH2: false, autoSelectFamily: true, timeout };
  const toAnyAddress = reusingConnector({ ...common, lookup: lookupBy(resolve) });
  const toPublicAddress = reusingConnector({ ...common, lookup: lookupBy(publicOnly(resolve)) });
  return (target, callback) => {
    if (allowedHosts.has(target.host ?? '')) return toAnyAddress(target, callback);
    // A host that is an address is not looked up, so `publicOnly` would not see it.
    if (isIP(target.hostname) && !isPublic(target.hostname)) return callback(notPublicProblem(), null);
    return toPublicAddress(target, callback);
  };
}

/** `resolve` that fails if any address is not public: a name with such an address among others is an attack. */
export function publicOnly(resolve: Resolve): Resolve {
  return async (hostname) => {
    const addresses = await resolve(hostname);
    if (addresses.every(({ address }) => isPublic(address))) return addresses;
    throw notPublicProblem();
  };
}

function lookupBy(resolve: Resolve): LookupFunction {
  return (hostname, _, callback) => {
    resolve(hostname).then(
      (addresses) => {
        // A socket that gets an empty list throws where nobody catches it.
        if (addresses.length === 0) callback(noAddress(hostname), []);
        else callback(null, addresses);
      },
      (error) => callback(error, []),
    );
  };
}

function noAddress(hostname: string): Problem {
  return new Problem('origin_unavailable', undefined, { cause: `${hostname} has no address` });
}

function notPublicProblem(): Problem {
  return new Problem(
    'source_refused',
    'The source is not at a public address, and its host is not in PLAYHEAD_SOURCE_HOSTS.',
  );
}
