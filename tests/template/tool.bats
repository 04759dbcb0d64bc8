load ../helper

@test "@tool@: decide what a good run must give, from an oracle outside" {
    prepared gex.cms
    @tool@ -o out.cms gex.cms
    false # compare with the oracle
}

@test "@tool@: decide which input is refused, and with which words" {
    prepared gex.cms
    fails 3 @tool@ gex.cms
    says "..."
}
