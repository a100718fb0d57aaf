/** Which columns probably hold secrets or tell who a person is, by their names and types. It cannot know: the caller's answer wins. */

export interface PersonalData {
  /** secret: nobody outside the application needs it. personal: it tells, or helps to tell, who somebody is. */
  readonly kind: 'secret' | 'personal';
  /** In a word or two, for a person: 'e-mail address'. */
  readonly what: string;
}

export interface NamedColumn {
  readonly table: string;
  readonly column: string;
  /** pg_type.typname below any domains, e.g. text, int8, inet. */
  readonly type: string;
}

interface Rule extends PersonalData {
  /** Tested against the column's words joined by single spaces, with a space at both ends. */
  readonly words: RegExp;
  readonly types: readonly TypeClass[];
}

type TypeClass = 'text' | 'number' | 'time' | 'json' | 'bytes' | 'network' | 'uuid' | 'boolean' | 'other';

const SECRET_TYPES = ['text', 'json', 'bytes', 'uuid', 'other'] as const;
const TEXT = ['text', 'json', 'other'] as const;
const TEXT_NUMBER = [...TEXT, 'number'] as const;

/** `words` in the order they are tried; the first that holds decides. English, and the commonest words of a few other languages. */
const RULES: readonly Rule[] = [
  secret('password', 'pass ?words?|passwd|pwd|pass ?phrase|pass ?code|passwort|kennwort|mot de passe|contrasena'),
  secret(
    'secret',
    'secrets?|otp|totp|hotp|mfa|2fa|recovery codes?|backup codes?|security (answer|question)|salt|pepper|seed phrase|mnemonic',
  ),
  secret(
    'key',
    '(api|access|private|signing|encryption|auth|session|shared|ssh|client|license) ?keys?|apikey|credentials?|keystore|pem',
  ),
  secret('token', 'tokens?|jwt|bearer|cookies?|csrf|nonce|session data|authorization'),
  secret('card or PIN code', 'cvv2?|cvc2?|csc|pin( code| number)?|tan', ['text', 'number', 'other']),
  personal('e-mail address', 'e ?mails?|e ?mail (address|addr)|mail ?address|correo|courriel', TEXT),
  personal(
    'IP or network address',
    'ip|ip ?v[46]|ip ?addr(ess)?|remote ?addr(ess)?|client ip|last ip|mac ?addr(ess)?|hostname|user agent',
    ['text', 'network', 'other'],
  ),
  personal(
    'tax or identity number',
    '(tax|vat|national|personal|passport|identity|citizen|fiscal|social|insurance|government|resident) ?(payer )?(id|ids|number|numbers|no|nr|code|num|identifier)|ssn|sin|nino|nin|ein|itin|tin|vat|cpf|cnpj|pesel|bsn|curp|rfc|dni|nif|nie|aadhaar|pan|personnummer|steuer ?(id|nummer)|social security( number| no)?|passport|driv(er|ers|ing) ?licen[cs]e( number| no)?|licen[cs]e plate|identity card',
    TEXT_NUMBER,
  ),
  personal(
    'bank or card number',
    'iban|bic|swift|(bank|account|card|routing|credit card|cc|debit card) ?(number|no|nr|num)|sort ?code|credit ?card|bank ?account|kontonummer|last ?4|last four',
    TEXT_NUMBER,
  ),
  personal(
    'phone number',
    '(tele)?phones?|(tele)?phone ?(number|no|nr)|mobile( phone| number| no)?|cell( phone| number)?|fax( number)?|tel|telefon|msisdn|whats ?app|handy',
    TEXT_NUMBER,
  ),
  personal(
    'date of birth',
    '(birth|born) ?(date|day|on|at|year|place)?|(date|day|year|place) of birth|dob|birth ?day|geburts ?(datum|tag|ort)|naissance|nacimiento',
    ['text', 'time', 'number', 'other'],
  ),
  personal(
    'name',
    '(first|last|middle|full|given|family|maiden|birth|display|legal|nick|contact|sur|fore|customer|user|person|patient|employee|owner|holder|recipient|guest|passenger|beneficiary|card ?holder|account ?holder|billing|shipping|sender|author|client|member|student|teacher|doctor|driver|tenant|applicant|emergency contact) ?names?|surname|forename|initials|login|username|screen ?name|vor ?name|nach ?name|prenom|apellidos?|nombre',
    TEXT,
  ),
  personal(
    'address',
    '(street|home|postal|mailing|billing|shipping|delivery|residential|work|contact|email)? ?address( ?line)?s?( ?\\d| line ?\\d)?|addr|street( name| no| number| ?\\d)?|house ?(number|no|nr)|strasse|hausnummer|plz|post ?codes?|postal ?codes?|zip( ?code)?|apartment|latitude|longitude|geo ?location|lat|lng|lon',
    [...TEXT_NUMBER, 'json'],
  ),
  personal(
    'sensitive detail',
    'gender|sex|religion|ethnicity|ethnic group|race|political (party|views?)|marital status|sexual orientation|diagnos[ei]s|disabilit(y|ies)|blood ?(type|group)|medical( history| notes| conditions?)?|health( status| conditions?)?|allergies|nationality|salary|biometrics?|finger ?prints?|face ?id|signature|photo|selfie',
    ['text', 'number', 'bytes', 'json', 'uuid', 'other'],
  ),
  personal('hash of something kept back', 'hash(es)?|hashed|digest|fingerprint|encrypted|cipher ?text', [
    'text',
    'bytes',
    'other',
  ]),
];

/** Words that end a name about a secret or a person's thing, not it: token_count, email_verified, address_id, password_changed_at. */
const ABOUT =
  / (id|ids|type|types|kind|status|state|count|counts|total|length|size|version|policy|policies|algorithm|algo|method|enabled|disabled|verified|confirmed|valid|invalid|required|optional|is|has|expiry|expires|expired|ttl|attempts|limit|quota|format|locale|language|template|templates|preference|preferences|frequency|opt in|opt out|at|on|until|since|rank|index|position|sort order|usage|used|cost|price) $/;

/** Tables of people: there even a plain `name` is one's. */
const PEOPLE =
  / (user|users|customer|customers|person|persons|people|employee|employees|contact|contacts|patient|patients|member|members|student|students|teacher|teachers|subscriber|subscribers|applicant|applicants|candidate|candidates|guest|guests|passenger|passengers|profile|profiles|author|authors|staff|lead|leads|client|clients|recipient|recipients|driver|drivers|doctor|doctors|tenant|tenants|beneficiary|beneficiaries|owner|owners|individual|individuals|visitor|visitors|kunden|personen|mitarbeiter) $/;

/** What a column probably holds; undefined where nothing says so. */
export function findPersonalData({ table, column, type }: NamedColumn): PersonalData | undefined {
  const typeClass = classOf(type);
  if (typeClass === 'network') return { kind: 'personal', what: 'IP or network address' };
  const words = wordsOf(column);
  const rule = RULES.find((candidate) => candidate.words.test(words) && candidate.types.includes(typeClass));
  if (rule !== undefined) {
    // `tax_id` ends like a reference and is none: a rule that reaches the last word is not about something else.
    if (ABOUT.test(words) && !endsIn(rule.words, words)) return undefined;
    return { kind: rule.kind, what: rule.what };
  }
  if (typeClass === 'text' && words === ' name ' && PEOPLE.test(wordsOf(table)))
    return { kind: 'personal', what: 'name' };
  return undefined;
}

function endsIn(rule: RegExp, words: string): boolean {
  return [...words.matchAll(new RegExp(rule.source, 'g'))].some(
    (match) => match.index + match[0].length === words.length,
  );
}

function secret(what: string, words: string, types: readonly TypeClass[] = SECRET_TYPES): Rule {
  return { kind: 'secret', what, words: new RegExp(` (${words}) `), types };
}

function personal(what: string, words: string, types: readonly TypeClass[]): Rule {
  return { kind: 'personal', what, words: new RegExp(` (${words}) `), types };
}

/** ' first name ' for firstName, first_name, "First-Name" and FIRST NAME; accents do not count. */
function wordsOf(name: string): string {
  const plain = name.normalize('NFKD').replaceAll(/\p{M}/gu, '').replaceAll('ß', 'ss');
  const words = plain
    .replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
  return ` ${words.join(' ')} `;
}

const CLASSES: Readonly<Record<string, TypeClass>> = {
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  name: 'text',
  citext: 'text',
  char: 'text',
  int2: 'number',
  int4: 'number',
  int8: 'number',
  numeric: 'number',
  float4: 'number',
  float8: 'number',
  date: 'time',
  timestamp: 'time',
  timestamptz: 'time',
  time: 'time',
  timetz: 'time',
  interval: 'time',
  json: 'json',
  jsonb: 'json',
  hstore: 'json',
  xml: 'json',
  bytea: 'bytes',
  inet: 'network',
  cidr: 'network',
  macaddr: 'network',
  macaddr8: 'network',
  uuid: 'uuid',
  bool: 'boolean',
};

function classOf(type: string): TypeClass {
  return CLASSES[type.replace(/^_/, '')] ?? 'other';
}
