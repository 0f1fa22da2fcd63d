# Turns the sample configuration into the list of settings of prilorad.conf(5): comments are the
# text, ";name = value" is a setting and its default.
function flush_list() {
    if (in_list) print ".El"
    in_list = 0
}
/^\[/ {
    flush_list()
    print ".Ss " $0
    print ".Bl -tag -width Ds"
    in_list = 1
    text = ""
    next
}
in_list && /^; / { text = text (text == "" ? "" : " ") substr($0, 3); next }
in_list && /^;[a-z_]+ =/ {
    name = substr($0, 2)
    sub(/ =.*/, "", name)
    value = $0
    sub(/^[^=]*= */, "", value)
    gsub(/\\/, "\\e", text)
    gsub(/\. /, ".\n", text)
    print ".It Ic " name " Ns =" (value == "" ? "" : " Ns Li \"" value "\"")
    if (text != "") print text
    text = ""
}
/^$/ { text = "" }
END { flush_list() }
