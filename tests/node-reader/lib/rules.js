// What the comments in contracts/schema say beyond CDDL: order, and what one field asks of another.

/** Null, or what is wrong. */
export function checkBody(kind, body) {
  switch (kind) {
    case 'account.open':
    case 'account.rekey':
      return sorted('keys', body.get('keys')) ?? (body.get('threshold') > body.get('keys').length ? 'the threshold cannot be met' : null);
    case 'node.report':
      return sorted('kinds', body.get('kinds'));
    case 'offer.post':
      return sorted('kinds', body.get('kinds')) ?? sorted('nodes', body.get('nodes') ?? []);
    case 'agreement':
      return agreement(body);
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
    ...body.get('workloads').filter((w) => w.get('kind') === 'container').flatMap((c) => [sorted('mounts', c.get('mounts'), 'path'), sorted('scratch', c.get('scratch'), 'path')]),
  ];
  return lists.find((problem) => problem) ?? null;
}

function sorted(name, items, by) {
  const keys = items.map((i) => Buffer.from(by ? i.get(by) : i));
  return keys.every((k, i) => i === 0 || Buffer.compare(keys[i - 1], k) < 0) ? null : `${name} are not sorted and unique`;
}
