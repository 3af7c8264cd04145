// The operating system's OpenSSL 3, with the macros that Swift cannot see as functions.
#ifndef HEAPWIRE_COPENSSL_H
#define HEAPWIRE_COPENSSL_H

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <sys/socket.h>

static inline long hw_ssl_set_host_name(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name);
}

static inline long hw_ssl_ctx_set_min_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

static inline long hw_ssl_ctx_set_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_mode(context, mode);
}

/// Neither renegotiation nor compression, which have been ways to attack.
static inline void hw_ssl_ctx_set_safe_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

static inline int hw_pem_no_password(char *text, int room, int writing, void *data) {
    (void)text;
    (void)room;
    (void)writing;
    (void)data;
    return -1;
}

/// A key without a pass phrase: for one with, OpenSSL would ask on the terminal.
static inline EVP_PKEY *hw_pem_read_private_key(BIO *bio) {
    return PEM_read_bio_PrivateKey(bio, NULL, hw_pem_no_password, NULL);
}

/// Gives the certificate to the context.
static inline long hw_ssl_ctx_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add0_chain_cert(context, certificate);
}

static inline long hw_ssl_ctx_session_cache_off(SSL_CTX *context) {
    return SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

/// Socket I/O that neither raises SIGPIPE, as OpenSSL's own write(2) does, nor owns the descriptor.
static inline int hw_bio_write(BIO *bio, const char *bytes, int count) {
    int descriptor = (int)(intptr_t)BIO_get_data(bio);
    ssize_t result;
    BIO_clear_retry_flags(bio);
    do {
        result = send(descriptor, bytes, (size_t)count, MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
    return (int)result;
}

static inline int hw_bio_read(BIO *bio, char *bytes, int count) {
    int descriptor = (int)(intptr_t)BIO_get_data(bio);
    ssize_t result;
    BIO_clear_retry_flags(bio);
    do {
        result = recv(descriptor, bytes, (size_t)count, 0);
    } while (result < 0 && errno == EINTR);
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
    return (int)result;
}

static inline long hw_bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// The kind of BIO that `hw_ssl_set_socket` uses; NULL without memory. Made once, never freed.
static inline BIO_METHOD *hw_bio_socket_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heapwire socket");
    if (method == NULL) return NULL;
    BIO_meth_set_write(method, hw_bio_write);
    BIO_meth_set_read(method, hw_bio_read);
    BIO_meth_set_ctrl(method, hw_bio_control);
    return method;
}

/// Lets a connection read and write a nonblocking socket. 0 without memory.
static inline int hw_ssl_set_socket(SSL *ssl, const BIO_METHOD *method, int descriptor) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return 0;
    BIO_set_data(bio, (void *)(intptr_t)descriptor);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return 1;
}

/// The text of an X.509 name attribute, copied; the count, or -1 if there is none or no room.
static inline int hw_x509_subject_text(X509 *certificate, int nid, int index, char *text, int room) {
    X509_NAME *name = X509_get_subject_name(certificate);
    int position = -1;
    for (int i = 0; i <= index; i++) {
        position = X509_NAME_get_index_by_NID(name, nid, position);
        if (position < 0) return -1;
    }
    unsigned char *utf8 = NULL;
    ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, position));
    int count = ASN1_STRING_to_UTF8(&utf8, value);
    if (count < 0) return -1;
    if (count <= room) {
        for (int i = 0; i < count; i++) text[i] = (char)utf8[i];
    } else {
        count = -1;
    }
    OPENSSL_free(utf8);
    return count;
}

static inline int hw_accept_certificate(X509_STORE_CTX *context, void *data) {
    (void)context;
    (void)data;
    return 1;
}

/// Asks clients for a certificate and takes any: who it is from is found out afterwards, once for
/// each set of authorities.
static inline void hw_ssl_ctx_ask_for_certificate(SSL_CTX *context) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, hw_accept_certificate, NULL);
}

/// The chain that the peer sent, with a reference for the caller; NULL where there is none.
static inline STACK_OF(X509) *hw_ssl_take_chain(SSL *ssl) {
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    return chain == NULL ? NULL : X509_chain_up_ref(chain);
}

static inline void hw_x509_chain_free(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

/// Whether a chain to an authority of the store makes this the certificate of a client, now.
static inline int hw_x509_is_client_of(
    X509_STORE *store, X509 *certificate, STACK_OF(X509) *chain) {
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int verdict = 0;
    if (context == NULL) return 0;
    if (X509_STORE_CTX_init(context, store, certificate, chain) == 1
        && X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT) == 1) {
        verdict = X509_verify_cert(context) == 1;
    }
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return verdict;
}
#endif
