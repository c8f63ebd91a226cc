// What the comments in contracts/schema say beyond CDDL: order, and what one field asks of another.

/** Null, or what is wrong. */
export function checkBody(kind, body) {
  switch (kind) {
    case 'account.open':
    case 'account.rekey':
      return sorted('keys', body.get('keys')) ?? (body.get('threshold') > body.get('keys').length ? 'the threshold cannot be met' : null);
    case 'farm.addresses':
      return ascending('addresses', body.get('addresses').map((a) => a.get('address')), (a, b) => a.length - b.length || Buffer.compare(a, b));
    case 'node.report':
      return sorted('kinds', body.get('kinds'));
    case 'node.drain':
      return body.get('drains') === 0 && body.get('reason').length > 0 ? 'what is lifted has a reason' : null;
    case 'offer.post':
      return sorted('kinds', body.get('kinds')) ?? sorted('nodes', body.get('nodes') ?? []);
    case 'agreement':
      return agreement(body);
    case 'workload.ready':
      return ascending('tunnels', body.get('tunnels'), (a, b) => compare(a.get('network'), b.get('network')) || compare(a.get('workload'), b.get('workload')))
        ?? ascending('underlay', body.get('underlay'), (a, b) => a.length - b.length || Buffer.compare(a, b));
    case 'receipt':
      return BigInt(body.get('to')) < BigInt(body.get('from')) ? 'to is before from' : sorted('workloads', body.get('workloads'), 'name');
    default:
      return null;
  }
}

function agreement(body) {
  if ((body.get('version') === 1) === body.has('amends')) return 'version 1 amends nothing, every other something';
  const lists = [
    sorted('farms', body.get('farms'), 'farm'),
    ...body.get('farms').map((f) => sorted('nodes', f.get('nodes'))),
    sorted('parts', body.get('money').get('parts'), 'farm'),
    sorted('workloads', body.get('workloads'), 'name'),
    ...body.get('workloads').filter((w) => w.get('kind') === 'container').flatMap((c) => [sorted('mounts', c.get('mounts'), 'path'), sorted('scratch', c.get('scratch'), 'path'), sorted('secrets', c.get('secrets'), 'at'), sorted('networks', c.get('networks'), 'network')]),
    ...body.get('workloads').filter((w) => w.get('kind') === 'gateway').map((g) => sorted('networks', g.get('networks'), 'network')),
    ...body.get('workloads').filter((w) => w.get('kind') === 'address').map((a) => ascending('ports', a.get('ports'), (x, y) => compare(x.get('protocol'), y.get('protocol')) || Number(x.get('port')) - Number(y.get('port')))),
    ...body.get('workloads').filter((w) => w.get('kind') === 'vm').flatMap((m) => [sorted('disks', m.get('disks'), 'serial'), sorted('secrets', m.get('secrets'), 'at'), sorted('networks', m.get('networks'), 'network')]),
    ...body.get('workloads').filter((w) => w.get('kind') === 'network').map((n) => range(n.get('cidr'))),
  ];
  return lists.find((problem) => problem) ?? null;
}

// No bit of the base below the prefix is set, and the prefix is no longer than the address.
function range(cidr) {
  const [base, bits] = [cidr.get('base'), Number(cidr.get('bits'))];
  if (bits > base.length * 8) return 'the prefix is longer than the address';
  const host = [...base].some((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, bits - i * 8)))) !== 0);
  return host ? 'bits are set below the prefix' : null;
}

const compare = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const sorted = (name, items, by) => ascending(name, items, (a, b) => (by ? compare(a.get(by), b.get(by)) : compare(a, b)));

function ascending(name, items, order) {
  return items.every((item, i) => i === 0 || order(items[i - 1], item) < 0) ? null : `${name} are not sorted and unique`;
}
