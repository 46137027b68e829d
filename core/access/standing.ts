import { grantText } from './covers.ts';
import { Granted, type Grant, type Operation } from './grants.ts';

/** A document of rights as it is written. */
export interface Standing {
  name: string;
  subjects: readonly { kind: string; name: string }[];
  grants: readonly Grant[];
  operations: readonly string[];
}

const MOST = 20;

/** What nobody asks for by a name: what is granted of these with one grants nothing. */
export const unnamed: readonly string[] = ['task', 'token', 'board', 'metrics', 'audit', 'quota'];

/** Of a grant that names what is not there, as it is written: a sentence. */
export function nowhere(grant: string): string {
  const [, resource = '', ...name] = grant.split(':');
  return unnamed.includes(resource)
    ? `${grant} grants nothing: '${resource}' is granted without a name.`
    : `There is no ${resource} named '${name.join(':')}': ${grant} grants nothing until there is.`;
}

const holds = (grants: readonly Grant[], { role, resource: word, name }: Grant): boolean =>
  new Granted({ grants, operations: [] }).allows(role, { word, isPrivate: true }, name ?? undefined);

const called = ({ kind, name }: { kind: string; name: string }): string => `${kind}:${name}`;
const EVERYONE = 'group:everyone';

/** What is as it was written, and perhaps not as it was meant: of a new document, beside those that stand. At most 20, each a sentence. */
export function doubtsOf(made: Standing, standing: readonly Standing[]): string[] {
  if (made.subjects.length === 0) return ['Nobody is granted this yet: it names no subject.'];
  if (made.grants.length + made.operations.length === 0)
    return ['This grants nothing: it has neither bindings nor operations.'];
  const others = standing.filter(({ name }) => name !== made.name);
  return made.subjects.flatMap((subject) => doubtsOfSubject(called(subject), made, others)).slice(0, MOST);
}

function doubtsOfSubject(subject: string, made: Standing, others: readonly Standing[]): string[] {
  const isOf = (whose: readonly string[]) => (document: Standing) =>
    document.subjects.some((each) => whose.includes(called(each)));
  const having = others.filter(isOf([subject, EVERYONE]));
  const own = others.filter(isOf([subject]));
  const doubts: string[] = [];
  for (const grant of made.grants) {
    const by = having.find(({ grants }) => holds(grants, grant));
    if (by) doubts.push(`${grantText(grant)} is nothing new for ${subject}: '${by.name}' grants that.`);
    for (const { name, grants } of own)
      for (const narrower of grants)
        if (holds([grant], narrower) && !holds([narrower], grant))
          doubts.push(
            `${grantText(grant)} is wider than ${grantText(narrower)}, which ${subject} has by '${name}': that one holds them to nothing any more.`,
          );
  }
  for (const operation of made.operations) {
    const by = having.find(({ operations }) => operations.includes(operation as Operation));
    if (by) doubts.push(`${operation} is nothing new for ${subject}: '${by.name}' grants that.`);
  }
  return doubts;
}
