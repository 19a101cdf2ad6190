# What each large dependency adds to a binary: reads `go tool nm -size` of one
# that has its symbols. SIZE is the stripped binary's size in bytes. Code is
# attributed to its package; the line tables, type descriptions and data that
# come with it (most carry no package's name) are shared out by code.
#
#	go tool nm -size BINARY | awk -v SIZE=N -f size.awk | sort -rn

$3 !~ /^[Tt]$/ { next }

{
	name = $4
	sub(/^type:\.(eq|hash)\./, "", name)
	sub(/\[.*/, "", name)
	dir = ""
	if (match(name, /^.*\//)) {
		dir = substr(name, 1, RLENGTH)
		name = substr(name, RLENGTH + 1)
	}
	sub(/\..*/, "", name)
	code[group(dir name)] += $2
	all += $2
}

END {
	for (g in code) {
		share = code[g] * SIZE / all
		if (share >= 200000)
			printf "%11d %11d  %s\n", share, code[g], g
		else
			rest += code[g]
	}
	printf "%11d %11d  %s\n", rest * SIZE / all, rest, "all smaller ones"
}

# group is the module of a package, each service of the AWS SDK for itself, and
# the first element of the standard library's.
function group(path, part, n) {
	n = split(path, part, "/")
	if (part[1] == "vendor")
		return "std " part[1]
	if (part[1] !~ /\./)
		return part[1] == "koboshi" || part[1] == "main" ? "koboshi itself" : "std " part[1]
	if (part[2] == "aws" && part[3] == "aws-sdk-go-v2" && n > 3)
		return part[1] "/aws/aws-sdk-go-v2/" part[4] (part[4] == "service" ? "/" part[5] : "")
	return part[1] "/" part[2] (part[1] == "github.com" ? "/" part[3] : "")
}
