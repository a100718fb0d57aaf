import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proposeSources } from '../../warehouse/extract/index.ts';

/** What one column of a table without a key is proposed as. */
function treat(column: string, type = 'text', table = 'orders'): string {
  const [source] = proposeSources({
    database: 'd',
    serverVersion: '18',
    unprovable: null,
    schemas: ['s'],
    tables: [
      {
        schema: 's',
        table,
        kind: 'table',
        comment: null,
        columns: [
          { name: 'other_thing', type: 'integer', baseType: 'int4', notNull: true, readable: true, references: null },
          { name: column, type, baseType: type, notNull: false, readable: true, references: null },
        ],
        primaryKey: null,
        uniqueKeys: [],
        indexed: [],
        rows: 1,
        inserted: 0,
        updated: 0,
        deleted: 0,
        parent: null,
        partition: false,
        hasHeirs: false,
        hidesRows: false,
        cursors: {},
      },
    ],
  });
  return source?.tables[0]?.columns[1]?.treatment ?? 'no proposal';
}

const names = (text: string): readonly string[] => text.trim().split(/\s+/);

test('passwords, secrets and tokens are left out, however they are spelled', () => {
  const columns =
    names(`password Password userPassword user_password PASSWORD_HASH password_digest encrypted_password hashed_password pwd passwd passphrase secret
    client_secret clientSecret api_key apiKey APIKey api-key private_key access_token accessToken refresh_token reset_token token session_token jwt otp_secret totp mfa_secret
    salt cvv cvc pin pin_code credentials recovery_codes security_answer csrf_token webhook_secret signing_key`);
  for (const column of columns) assert.equal(treat(column), 'leave out', column);
  for (const type of ['bytea', 'jsonb', 'uuid', 'varchar', 'bpchar', 'citext'])
    assert.equal(treat('access_token', type), 'leave out', type);
  assert.equal(treat('pin', 'int4'), 'leave out');
});

test('what tells who a person is is masked', () => {
  const columns =
    names(`email Email e_mail user_email email_address emailAddress contactEmail phone phone_number mobile_phone mobile fax telephone tel msisdn first_name firstName
    FIRSTNAME lastname last_name surname given_name family_name middle_name full_name fullname maiden_name display_name username user_name nick_name card_holder_name address street street_address
    address_line_1 address1 billing_address shipping_address house_number postcode postal_code zip zip_code iban IBAN bic account_number card_number credit_card sort_code routing_number ip ip_address
    client_ip remote_addr user_agent birth_date birthdate birthday dob date_of_birth place_of_birth ssn social_security_number tax_id taxId vat_number national_id passport_number
    drivers_license nino cpf gender religion ethnicity diagnosis nationality last4 hash file_hash Vorname nachname Geburtsdatum straße`);
  for (const column of columns) assert.equal(treat(column), 'hash', column);
  for (const [column, type] of [
    ['phone', 'int8'],
    ['tax_id', 'int8'],
    ['birth_date', 'date'],
    ['dob', 'timestamptz'],
    ['anything', 'inet'],
    ['seen', 'macaddr'],
    ['routes', '_inet'],
    ['address', 'jsonb'],
    ['emails', '_text'],
    ['latitude', 'float8'],
  ] as const)
    assert.equal(treat(column, type), 'hash', `${column} ${type}`);
  assert.equal(treat('name', 'text', 'users'), 'hash');
  assert.equal(treat('name', 'text', 'ShopCustomers'), 'hash');
});

test('what only sounds like it is carried', () => {
  const columns =
    names(`id order_id status name description currency amount country city notes title code sku quantity merchant category provider kind color mailbox_size emailed
    passenger_count tokenizer keyboard key hashtag shipment tip zipper ship_date street_light_status pinned spinning company_name product_name address_id email_id email_type
    phone_type token_type token_count password_policy secret_name_id email_verified password_changed_at ip_count shipping_method telemetry panel pandas race_results_id state region`);
  for (const column of columns) assert.equal(treat(column), 'carry', column);
  for (const [column, type] of [
    ['email_verified', 'bool'],
    ['has_password', 'bool'],
    ['password_reset_required', 'bool'],
    ['token_count', 'int4'],
    ['tokens', 'int4'],
    ['password_changed_at', 'timestamptz'],
    ['address_id', 'int8'],
    ['address_id', 'uuid'],
    ['email', 'bool'],
    ['name', 'int4'],
    ['hash', 'int8'],
    ['phone_verified_at', 'timestamptz'],
  ] as const)
    assert.equal(treat(column, type), 'carry', `${column} ${type}`);
  assert.equal(treat('name', 'text', 'products'), 'carry');
});
